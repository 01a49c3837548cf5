from pathlib import Path

import pytest

from helpers.fake_retriever import FakeRetriever
from helpers.pictures_on_disk import write_pictures
from helpers.store_samples import KINDS, ResidentStore
from likebut.gallery.gallery import Gallery
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.memory_store import MemoryStore


@pytest.fixture
def retriever() -> FakeRetriever:
    return FakeRetriever()


@pytest.fixture(params=KINDS)
def gallery(request: pytest.FixtureRequest, tmp_path: Path, retriever: FakeRetriever) -> Gallery:
    if request.param == "memory":
        return Gallery(MemoryStore(GalleryIdentity.of(retriever)), retriever)
    if request.param == "resident":
        return Gallery(ResidentStore(tmp_path / "gallery", GalleryIdentity.of(retriever)), retriever)
    return Gallery.open(tmp_path / "gallery", retriever)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", range(12))
    return tmp_path / "photos"
