"""The errors a user can cause, each with what is wrong and what to do about it."""

import struct


class LikebutError(Exception):
    """A failure that likebut foresaw.

    The command line prints ``problem`` and ``remedy`` and exits with ``exit_code``; nobody sees a traceback.

    Args:
        problem: One sentence saying what is wrong, with the values, the file and the line concerned.
        remedy: One sentence saying what to do.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


class InputError(LikebutError):
    """Wrong usage or wrong input: the user can mend it."""

    exit_code = 2


class ImageError(InputError):
    """An image that cannot be used; ``problem`` is the reason a report lists beside its name."""


class UnreadableImageError(ImageError):
    """An image's file that could not be read just now (permissions, a disk's fault): its content may be sound."""


class UnknownImageError(InputError):
    """An image id that a gallery does not hold."""


class ResumeError(InputError):
    """Unfinished work was begun with other settings than those given now."""


class MissingWeightsError(InputError):
    """Weights that a preset needs are not on this machine yet."""


class MissingDependencyError(InputError):
    """An optional library that a feature needs is not installed."""


# Pillow answers damage in many ways; these are what a hundred thousand mutated files brought to light.
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
