"""The errors a user can cause, each with what is wrong and what to do about it."""

import struct


class LikebutError(Exception):
    """A failure with a known cause and a remedy.

    The command line prints ``problem`` and ``remedy`` and exits with ``exit_code``; a user never sees a traceback.

    Args:
        problem: One sentence saying what is wrong, with the values, the file and the line concerned.
        remedy: One sentence saying what to do.
        code: A stable name of this error, in kebab-case, where the class alone does not identify it. Programs and tests
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
    """Wrong usage or wrong input, which the user can fix."""

    exit_code = 2
    code = "invalid-input"


class ImageError(InputError):
    """An image that cannot be used; ``problem`` is the reason a report lists beside its name."""

    code = "unusable-image"


class UnreadableImageError(ImageError):
    """An image file that could not be read this time (permissions, a disk fault): its content may be sound."""

    code = "unreadable-image"


class UnknownImageError(InputError):
    """An image id that a gallery does not hold."""

    code = "unknown-image"


class ResumeError(InputError):
    """Unfinished work was started with other settings than those given now."""

    code = "settings-changed"


class MissingWeightsError(InputError):
    """Weights that a preset needs are not on this machine yet."""

    code = "missing-weights"


class MissingDependencyError(InputError):
    """An optional library that a feature needs is not installed."""

    code = "missing-dependency"


# What Pillow raises on damaged files, as found with 100,000 mutated ones.
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
