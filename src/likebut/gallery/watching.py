"""Keeping a gallery in step with a folder while pictures come and go."""

import threading
from collections.abc import Iterator
from pathlib import Path

from likebut.errors import InputError
from likebut.files import normal_path
from likebut.gallery.gallery import Gallery
from likebut.gallery.requests import AddReport

# A camera or a browser writes a file in pieces: wait until nothing has happened for this long.
_SETTLE_MS = 500
_LONGEST_WAIT_MS = 10_000
_POLL_MS = 1_000


def watch(
    gallery: Gallery, folder: Path, metadata: Path | None = None, stop: threading.Event | None = None
) -> Iterator[AddReport | InputError]:
    """Yield what became of every change below ``folder``, until ``stop`` is set.

    The whole folder is compared after each change, not only the files that were named: a burst of changes can overrun
    the operating system's queue, and a file that was set aside half-written is read again.

    Args:
        gallery: To be kept in step.
        folder: What is watched.
        metadata: As for :meth:`Gallery.synchronise`.
        stop: Ends the watch.

    Yields:
        A report, or the reason why the folder cannot be taken as it is now (an empty folder, a faulty metadata
        file); the watch goes on.
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
        # Once without a change, for what came between the caller's own look at the folder and the first of these.
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
