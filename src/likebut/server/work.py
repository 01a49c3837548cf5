"""Work in threads, so that the event loop stays free, with a limit on how long an answer may take."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from likebut.server.errors import RequestError

Answer = TypeVar("Answer")


class WorkPool:
    """Threads for work that blocks.

    Args:
        threads: How many.
        seconds: How long one piece of work may take, its waiting for a thread included.
        late: The remedy told when it took longer.
    """

    def __init__(self, threads: int, seconds: float, late: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._seconds, self._late = seconds, late

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Return what ``work`` returns.

        Raises:
            RequestError: It took too long. What had begun goes on to its end, unheeded.
        """
        begun = asyncio.wrap_future(self._threads.submit(work))
        try:
            return await asyncio.wait_for(begun, self._seconds)
        except TimeoutError:
            raise RequestError(
                503,
                "timeout",
                f"The answer took longer than {self._seconds:g} seconds.",
                self._late,
                {"Retry-After": "5"},
            ) from None

    def close(self) -> None:
        """Wait for what has begun."""
        self._threads.shutdown(wait=True, cancel_futures=True)
