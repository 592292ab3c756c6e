"""Long computations, which must not block the event loop that receives deliveries."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

# A computation of this size takes about 10 ms. Handing a computation to a thread costs about 0.1 ms.
_LONG = 500

_Result = TypeVar("_Result")


async def compute(work: Callable[[], _Result], size: int) -> _Result:
    """Return the result of a computation, and run it in a thread if it is long.

    Args:
        size: the number of events and links that the computation reads.
    """
    return await asyncio.to_thread(work) if size > _LONG else work()
