"""Keeping a gallery in step with a folder while its images change."""

import threading
from collections.abc import Iterator
from pathlib import Path

from likebut.errors import InputError
from likebut.files import normal_path
from likebut.gallery.gallery import Gallery
from likebut.gallery.requests import AddReport

# Cameras and browsers write a file in several steps, so changes are handled once nothing has happened for this long.
_SETTLE_MS = 500
_LONGEST_WAIT_MS = 10_000
_POLL_MS = 1_000


def watch(
    gallery: Gallery, folder: Path, metadata: Path | None = None, stop: threading.Event | None = None
) -> Iterator[AddReport | InputError]:
    """Synchronise a gallery with a folder after every change below it, until ``stop`` is set.

    Each change synchronises the whole folder rather than the files that were reported: a burst of changes can overrun
    the operating system's queue, and a file that was skipped while incomplete is read again.

    Args:
        gallery: The gallery to synchronise.
        folder: The folder to watch.
        metadata: As for :meth:`Gallery.synchronise`.
        stop: Ends the watch.

    Yields:
        The report of each change, or the error if the folder cannot be synchronised in its present state (no images, an
        invalid metadata file); watching continues.
    """
    from watchfiles import watch as watch_files

    own = normal_path(gallery.name)
    is_first = True
    for changes in watch_files(
        normal_path(folder),
        watch_filter=lambda _, path: not Path(path).is_relative_to(own),
        stop_event=stop,
        step=_SETTLE_MS,
        debounce=_LONGEST_WAIT_MS,
        rust_timeout=_POLL_MS,
        yield_on_timeout=True,
    ):
        # The first timeout synchronises as well, for changes between the caller's own synchronisation and the watch.
        if not changes and not is_first:
            continue
        is_first = False
        try:
            report = gallery.synchronise(folder, metadata)
        except InputError as error:
            yield error
            continue
        if report.changed:
            gallery.optimise(in_background=True)
            yield report
