"""Reading picture files ahead of the model, in threads."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from likebut.errors import ImageError, UnreadableImageError
from likebut.files import is_absence
from likebut.gallery.pictures import Picture, content_id, read_picture
from likebut.images import read_content

# Enough to keep the model busy, few enough that large pictures fit in memory.
_AHEAD = 48


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that was read: a new picture, the id of a known one, or the reason why it cannot be used.

    Attributes:
        modified_ns: Modification time, taken before the content was read.
        may_pass: Whether the reason lies not in the content, as far as is known, but in reading it just now.
    """

    path: str
    file_bytes: int
    modified_ns: int
    image_id: str | None = None
    picture: Picture | None = None
    reason: str = ""
    may_pass: bool = False


def read_ahead(paths: Sequence[Path], is_known: Callable[[str], bool]) -> Iterator[ReadFile]:
    """Yield what is in each file, in the order given.

    Args:
        paths: Files.
        is_known: Whether an image with this id needs no decoding.
    """
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        ahead: deque[Future[ReadFile]] = deque()
        try:
            for path in paths:
                ahead.append(pool.submit(_read, path, is_known))
                if len(ahead) >= _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(path: Path, is_known: Callable[[str], bool]) -> ReadFile:
    name = str(path)
    try:
        status = path.stat()
    except OSError as error:
        reason = f"The file cannot be read ({error.strerror})."
        return ReadFile(name, 0, 0, reason=reason, may_pass=not is_absence(error))
    try:
        content = read_content(path)
        image_id = content_id(content)
        if is_known(image_id):
            return ReadFile(name, status.st_size, status.st_mtime_ns, image_id)
        return ReadFile(name, status.st_size, status.st_mtime_ns, image_id, read_picture(content))
    except ImageError as error:
        may_pass = isinstance(error, UnreadableImageError)
        return ReadFile(name, status.st_size, status.st_mtime_ns, reason=error.problem, may_pass=may_pass)
