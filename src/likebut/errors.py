"""Errors a user can cause; each says what is wrong and what to do about it."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager


class LikebutError(Exception):
    """A failure with a known cause and a remedy.

    The command line prints ``problem`` and ``remedy`` and exits with ``exit_code``, without a traceback.

    Args:
        problem: One sentence that says what is wrong, with the values, the file and the line.
        remedy: One sentence that says what to do.
        code: A stable kebab-case name of the error, where the class alone does not identify it. Programs and tests
            compare it instead of the wording.
    """

    exit_code = 1
    code = "failure"

    def __init__(self, problem: str, remedy: str, code: str | None = None) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy
        if code is not None:
            self.code = code


class InputError(LikebutError):
    """Wrong usage or wrong input, which the user can correct."""

    exit_code = 2
    code = "invalid-input"


class ImageError(InputError):
    """An image that cannot be used; ``problem`` is the reason that reports list next to its name."""

    code = "unusable-image"


class UnreadableImageError(ImageError):
    """An image file that could not be read this time (permissions, disk failure); its content may be valid."""

    code = "unreadable-image"


class UnknownImageError(InputError):
    """An image id that is not in the gallery."""

    code = "unknown-image"


class ResumeError(InputError):
    """Unfinished work was started with other settings."""

    code = "settings-changed"


class MissingWeightsError(InputError):
    """Weights that a preset needs are not on this machine."""

    code = "missing-weights"


class MissingDependencyError(InputError):
    """An optional package that a feature needs is not installed."""

    code = "missing-dependency"


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Wrap imports of packages that an optional extra installs.

    Raises:
        MissingDependencyError: An import in the block failed; the message has the pip command.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"The package {error.name} is not installed.", f"Run `pip install 'likebut[{extra}]'`."
        ) from None


# What Pillow raises on damaged files, found with 100,000 mutated ones.
IMAGE_DAMAGE: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    OverflowError,
    struct.error,
)
