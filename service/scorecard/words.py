"""The share of bold experiments in words."""

_BOLDNESS = ((0.2, "nearly all safe"), (0.4, "more safe"), (0.6, "both alike"), (0.8, "more bold"))


def boldness_in_words(share: float) -> str:
    """The share of bold experiments among the bold and safe ones, in words."""
    return next((words for bound, words in _BOLDNESS if share <= bound), "nearly all bold")
