"""Turns among the threads of all the processes that use a gallery."""

import threading
from pathlib import Path
from typing import Self

from filelock import FileLock


class ProcessLock:
    """A lock that one thread of one process holds at a time, as often as it likes.

    Args:
        path: The lock's file; None where there can be none, and the threads of this process alone take turns.
    """

    def __init__(self, path: Path | None) -> None:
        self._threads = threading.RLock()
        self._processes = None if path is None else FileLock(path, thread_local=False)

    def __enter__(self) -> Self:
        """Wait for one's turn."""
        self._threads.acquire()
        try:
            if self._processes is not None:
                self._processes.acquire()
        except BaseException:
            self._threads.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let others take theirs."""
        try:
            if self._processes is not None:
                self._processes.release()
        finally:
            self._threads.release()
