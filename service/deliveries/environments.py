"""Environments of deployments: which names mean production. Pure."""

import re

PRODUCTION = "production"
"""The value of the trait `environment` that production has in addition to its own name."""

_WORD = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PRODUCTION = frozenset({"production", "prod", "prd", "live"})
# A name with one of these words means another environment, for example one that resembles or precedes production.
_OTHERS = frozenset(
    {
        *("pre", "pré", "non", "not", "no", "post", "like", "copy", "clone", "mirror", "replica", "shadow", "backup"),
        *("staging", "stage", "stg", "preview", "review", "demo", "sandbox", "rehearsal", "trial", "training", "dry"),
        *("test", "tests", "testing", "tst", "qa", "uat", "int", "integration", "simulated", "simulation", "mock"),
        *("dev", "develop", "development", "local", "dummy", "fake", "spare"),
    }
)
_OTHER_TIERS = frozenset({"staging", "testing", "development"})


def environment_names(name: str | None, *, tier: str | None = None, flagged: bool = False) -> tuple[str, ...]:
    """The values of the trait `environment`: the name, the tier, and `production` if the environment is production.

    Args:
        tier: the kind of environment, as GitLab tells it. It decides, unless it is `other`.
        flagged: whether the provider says that the environment is production.
    """
    is_production = flagged or (bool(name) and tier not in _OTHER_TIERS and means_production(name or ""))
    values = [name, tier, PRODUCTION if is_production else None]
    return tuple({value.lower(): value for value in reversed(values) if value}.values())[::-1]


def means_production(name: str) -> bool:
    """Whether a name means production: one of its words does, and no word means another environment."""
    words = {word.lower() for word in _WORD.findall(_CAMEL.sub(" ", name))}
    return not words.isdisjoint(_PRODUCTION) and words.isdisjoint(_OTHERS)
