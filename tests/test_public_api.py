import subprocess
import sys

import pytest

import likebut


def test_the_public_names_are_the_classes_themselves() -> None:
    from likebut.gallery.gallery import Gallery
    from likebut.generator.generator import ModificationGenerator
    from likebut.retriever.retriever import Retriever

    assert likebut.Gallery is Gallery
    assert likebut.ModificationGenerator is ModificationGenerator
    assert likebut.Retriever is Retriever
    assert all(getattr(likebut, name) is not None for name in likebut.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'likebut' has no attribute 'Retriver'"):
        likebut.__getattr__("Retriver")


def test_importing_the_package_imports_nothing_slow() -> None:
    code = "import sys, likebut; print(sorted({'torch', 'transformers', 'lancedb', 'PIL'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
