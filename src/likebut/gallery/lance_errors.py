"""What the Lance engine says, in sentences that a person can act on."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import isfunction
from typing import Any, TypeVar

from likebut.errors import InputError, LikebutError

_Store = TypeVar("_Store")
_LONGEST = 200


class DamagedGalleryError(InputError):
    """A gallery whose tables cannot be read."""


@contextmanager
def clear_errors(location: str) -> Iterator[None]:
    """Turn what the engine raises while it uses the gallery at ``location`` into errors with a remedy.

    Raises:
        DamagedGalleryError: The engine cannot read what is there.
        InputError: The place cannot be used, or the gallery is gone.
        LikebutError: The disk is full, or another process was faster.
    """
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        clear = _clear(error, location)
        if clear is None:
            raise
        raise clear from error


def with_clear_errors(store: type[_Store]) -> type[_Store]:
    """Decorate a store, which has a ``location``: none of its public methods raises what only the engine explains."""
    for name, value in list(vars(store).items()):
        if isfunction(value) and (name == "__init__" or not name.startswith("_")):
            setattr(store, name, _with_clear_errors(value))
    return store


def _with_clear_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def called(self: Any, *arguments: Any, **named: Any) -> Any:
        # A store that is being made has not put down its location yet.
        location = getattr(self, "location", None) or (arguments[0] if arguments else named.get("location", ""))
        with clear_errors(str(location)):
            return method(self, *arguments, **named)

    return called


def _clear(error: Exception, location: str) -> LikebutError | None:
    """Return the error to raise instead; None for what is no failure of the engine's, or is clear as it is."""
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text:
        return LikebutError(f"The disk is full ({location}).", "Make room; the same command goes on from here.")
    if isinstance(error, OSError) and error.filename is not None:
        return None
    if "No object store provider" in text:
        return InputError(f"No gallery can be at {location}.", "Give a folder, or an object store's URI (s3://…).")
    if "Read-only file system" in text or "Permission denied" in text:
        return InputError(f"The gallery {location} may not be written to.", "Check its permissions.")
    if "preempted" in text or "conflict" in text.lower():
        return LikebutError(f"Another process changed the gallery {location} as well.", "Run the command again.")
    if "was not found" in text:
        return InputError(f"The gallery {location} is no longer there.", "Open it again, or make it anew.")
    if isinstance(error, ValueError) or "lance" not in text.lower():
        return None
    return DamagedGalleryError(
        f"The gallery {location} cannot be used ({text.splitlines()[0][:_LONGEST]}).",
        f"Check the disk; or index the pictures again: `likebut index FOLDER --gallery {location} --rebuild`.",
    )
