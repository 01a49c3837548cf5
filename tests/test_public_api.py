import subprocess
import sys

import pytest

import likebut


def test_public_names() -> None:
    from likebut.gallery.gallery import Gallery
    from likebut.generator.generator import ModificationGenerator
    from likebut.retriever.retriever import Retriever

    assert likebut.Gallery is Gallery
    assert likebut.ModificationGenerator is ModificationGenerator
    assert likebut.Retriever is Retriever
    assert all(getattr(likebut, name) is not None for name in likebut.__all__)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="Retriver"):
        likebut.__getattr__("Retriver")
    assert set(likebut.__all__) <= set(dir(likebut))


def test_import_of_the_package_is_fast() -> None:
    code = "import sys, likebut; print(sorted({'torch', 'transformers', 'lancedb', 'PIL'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
