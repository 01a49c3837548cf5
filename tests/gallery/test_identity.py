"""Which retrievers' embeddings a gallery accepts."""

from dataclasses import replace
from pathlib import Path

import pytest

from helpers.fake_retriever import FakeIdentity, FakeRetriever
from likebut.errors import InputError
from likebut.gallery.gallery import Gallery
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.lance_store import LanceStore

DUAL = FakeIdentity(model="dual/dual:owner/clip@0.3", weights_sha256="", vision="dual-0123456789ab")


@pytest.mark.parametrize("model", ["dual/dual:owner/clip", "dual/dual:owner/clip@0.7", "dual/dual:./clip"])
def test_name_and_query_weight_of_a_dual_encoder_do_not_matter(tmp_path: Path, model: str) -> None:
    recorded = replace(GalleryIdentity.of(FakeRetriever(DUAL)), model=model)  # version 0.1 recorded the whole name
    LanceStore(tmp_path / "gallery", recorded)
    gallery = Gallery.open(tmp_path / "gallery", FakeRetriever(DUAL), create=False)
    assert gallery.store.identity == GalleryIdentity.of(FakeRetriever(DUAL))
    assert hash(gallery.store.identity) == hash(GalleryIdentity.of(FakeRetriever(DUAL)))


def test_a_new_gallery_records_no_query_weight() -> None:
    assert GalleryIdentity.of(FakeRetriever(DUAL)).model == "dual/dual:owner/clip"


@pytest.mark.parametrize(
    "other",
    [
        replace(DUAL, vision="dual-ffffffffffff"),
        replace(DUAL, preprocessing="other"),
        replace(DUAL, model="ptha/small"),
        replace(DUAL, weights_sha256="1" * 64),
    ],
)
def test_other_embeddings_are_refused(tmp_path: Path, other: FakeIdentity) -> None:
    Gallery.open(tmp_path / "gallery", FakeRetriever(DUAL))
    with pytest.raises(InputError) as error:
        Gallery.open(tmp_path / "gallery", FakeRetriever(other))
    assert error.value.code == "gallery-model-mismatch"


def test_json_round_trip() -> None:
    identity = GalleryIdentity.of(FakeRetriever())
    assert GalleryIdentity.from_json(identity.to_json(), "g") == identity
    assert identity != replace(identity, model="fake/other") and identity != "fake"
