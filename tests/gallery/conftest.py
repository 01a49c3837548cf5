import sys
from pathlib import Path

import pytest

# Helpers beside the tests, which importlib mode does not put on the path.
sys.path.insert(0, str(Path(__file__).parent))

from fake_retriever import FakeRetriever  # noqa: E402
from pictures_on_disk import write_pictures  # noqa: E402
from store_samples import KINDS  # noqa: E402

from likebut.gallery.gallery import Gallery  # noqa: E402
from likebut.gallery.identity import GalleryIdentity  # noqa: E402
from likebut.gallery.memory_store import MemoryStore  # noqa: E402


@pytest.fixture
def retriever() -> FakeRetriever:
    return FakeRetriever()


@pytest.fixture(params=KINDS)
def gallery(request: pytest.FixtureRequest, tmp_path: Path, retriever: FakeRetriever) -> Gallery:
    if request.param == "memory":
        return Gallery(MemoryStore(GalleryIdentity.of(retriever)), retriever)
    return Gallery.open(tmp_path / "gallery", retriever)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", range(12))
    return tmp_path / "photos"
