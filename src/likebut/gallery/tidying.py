"""Tidying a gallery in the background, once at a time."""

import logging
import threading
from collections.abc import Callable

from likebut.errors import LikebutError

_log = logging.getLogger(__name__)


class Tidying:
    """Runs a task in a thread of its own, unless it is running already.

    Args:
        task: What tidies.
    """

    def __init__(self, task: Callable[[], None]) -> None:
        self._task = task
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Begin, and return at once."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="optimise gallery")
                self._thread.start()

    def wait(self) -> None:
        """Wait for what goes on."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._task()
        except LikebutError as error:
            # Searches find all without it, and the next change begins it again.
            _log.warning("%s %s", error.problem, error.remedy)
