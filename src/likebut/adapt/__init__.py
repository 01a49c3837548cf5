"""Own images in, a retriever that knows them out: ``likebut adapt``, and ``likebut.adapt(folder, out)`` in Python."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likebut.adapt.result import AdaptResult
    from likebut.adapt.run import adapt
    from likebut.adapt.settings import AdaptSettings

__all__ = ["AdaptResult", "AdaptSettings", "adapt"]


def __getattr__(name: str) -> Any:
    """Import what is asked for then: torch takes seconds."""
    if name in ("AdaptResult", "adapt"):
        from likebut.adapt import run

        return getattr(run, name)
    if name == "AdaptSettings":
        from likebut.adapt.settings import AdaptSettings

        return AdaptSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _CallableModule(ModuleType):
    """The package and the function have one name, ``likebut.adapt``; so the package can be called."""

    def __call__(self, *arguments: Any, **options: Any) -> "AdaptResult":
        from likebut.adapt.run import adapt

        return adapt(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
