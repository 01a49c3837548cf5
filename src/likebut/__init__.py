"""likebut: "like this, but in red". Composed image retrieval for your own pictures and for the benchmarks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likebut.adapt import adapt
    from likebut.gallery.gallery import Gallery
    from likebut.generator.generator import ModificationGenerator
    from likebut.retriever.retriever import Retriever

__version__ = "0.1.0"
__all__ = ["Gallery", "ModificationGenerator", "Retriever", "__version__", "adapt"]


def __getattr__(name: str) -> Any:
    """Import a public class when it is first asked for: torch takes seconds, and ``likebut --help`` needs none."""
    if name == "Retriever":
        from likebut.retriever.retriever import Retriever

        return Retriever
    if name == "ModificationGenerator":
        from likebut.generator.generator import ModificationGenerator

        return ModificationGenerator
    if name == "Gallery":
        from likebut.gallery.gallery import Gallery

        return Gallery
    if name == "adapt":
        import importlib

        return importlib.import_module("likebut.adapt")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
