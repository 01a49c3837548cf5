"""Stages of a run: each has a folder, is done when its ``complete.json`` exists, and is then not done again."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from likebut.errors import InputError, ResumeError
from likebut.files import read_json, remove_temporaries, write_json
from likebut.settings import differences

SETTINGS_NAME = "adapt.json"
COMPLETE_NAME = "complete.json"


class Stages:
    """The stages of one run.

    Args:
        folder: The run's.
        settings: What the results depend on.
        say: Called with a line when a stage begins.

    Raises:
        ResumeError: The folder holds a run with other settings; the message names each difference.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self.folder, self._say = folder, say
        self.seconds: dict[str, float] = {}
        path = folder / SETTINGS_NAME
        if not path.is_file():
            write_json(path, settings)
        changed = differences(read_json(path), settings)
        if changed:
            raise ResumeError(
                f"The adaptation in {folder} was begun with other settings: {'; '.join(changed)}.",
                "Give the same settings, another folder, or remove that one.",
            )

    def run(self, name: str, title: str, work: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
        """Return the result of a stage, doing its work unless that is done.

        Args:
            name: Of the stage's folder.
            title: What is being done, for people.
            work: Given the folder; may be called again on what a killed call left there.
        """
        place = self.folder / "stages" / name
        complete = place / COMPLETE_NAME
        if not complete.is_file():
            self._say(title)
            place.mkdir(parents=True, exist_ok=True)
            remove_temporaries(place)
            start = time.monotonic()
            result = work(place)
            write_json(complete, {"title": title, "seconds": time.monotonic() - start, "result": result})
        saved = read_json(complete)
        self.seconds[saved["title"]] = saved["seconds"]
        return dict(saved["result"])


class OneRun:
    """Holds a run's folder, so that no second process works in it; a context manager.

    Raises:
        InputError: Another process adapts in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, FileLock(folder / "adapt.lock")

    def __enter__(self) -> None:
        """Take the folder."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"Another process adapts in {self._folder}.", "Wait until it has ended, or give another folder."
            ) from None

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self._lock.release()
