"""A bound on the memory that decoded pictures take: a file of a few kilobytes may hold fifty million pixels."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Lets pictures in as long as their pixels together stay within a limit; further ones wait their turn.

    Args:
        pixels: The limit. A picture that is larger by itself comes in when there is no other.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels, self._used = pixels, 0
        self._freed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Hold room for ``pixels`` while the block runs, after waiting for it."""
        with self._freed:
            self._freed.wait_for(lambda: self._used == 0 or self._used + pixels <= self._pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._freed:
                self._used -= pixels
                self._freed.notify_all()
