"""likebut: composed image retrieval, "like this, but in red"."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likebut.gallery.gallery import Gallery
    from likebut.generator.generator import ModificationGenerator
    from likebut.retriever.retriever import Retriever


__version__ = "0.1.0"
__all__ = ["Gallery", "ModificationGenerator", "Retriever", "__version__"]

_MODULES = {
    "Gallery": "likebut.gallery.gallery",
    "ModificationGenerator": "likebut.generator.generator",
    "Retriever": "likebut.retriever.retriever",
}
logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent unless the application configures logging


def __getattr__(name: str) -> Any:
    """Import a public name on first use: torch takes seconds to import, and ``likebut --help`` does not need it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
