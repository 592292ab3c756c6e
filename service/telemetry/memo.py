"""A dictionary that memoises a function."""

from collections.abc import Callable
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class MemoDict(dict[_Key, _Value]):
    """Values by key, computed on first use.

    Hot paths cache the children of a metric in a `MemoDict`, because looking up a child by its labels takes longer than
    updating the child.
    """

    def __init__(self, compute: Callable[[_Key], _Value]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, key: _Key) -> _Value:
        value = self[key] = self._compute(key)
        return value
