"""Translation of the engine's errors, and creating and removing tables."""

from pathlib import Path

import lancedb
import pytest

from helpers.store_samples import IDENTITY, sample
from likebut.errors import InputError, LikebutError
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.lance_store import LanceStore
from likebut.gallery.lance_tables import DamagedGalleryError, remove_gallery, translate_errors


@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        (RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)"), LikebutError, "disk-full"),
        (RuntimeError("lance error: transaction was preempted. Please retry"), LikebutError, "concurrent-change"),
        (RuntimeError("lance error: Permission denied (os error 13)"), InputError, "not-writable"),
        (RuntimeError("lance error: file is too short"), DamagedGalleryError, "damaged-gallery"),
        (ValueError("Table 'images' was not found"), InputError, "missing-gallery"),
    ],
)
def test_errors_of_the_engine_are_translated(raised: Exception, kind: type[LikebutError], code: str) -> None:
    with pytest.raises(kind) as caught, translate_errors("/g"):
        raise raised
    assert type(caught.value) is kind and caught.value.code == code and "/g" in caught.value.problem


@pytest.mark.parametrize(
    "raised", [ValueError("k is wrong"), RuntimeError("threads"), OSError(5, "Input/output error", "/g/x")]
)
def test_other_errors_are_raised_unchanged(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, translate_errors("/g"):
        raise raised
    assert caught.value is raised


@pytest.mark.parametrize("table", ["images", "settings"])
def test_a_truncated_table_is_damaged_and_can_be_removed(tmp_path: Path, table: str) -> None:
    place = tmp_path / "gallery"
    LanceStore(place, IDENTITY).put([sample(1)])
    for manifest in (place / f"{table}.lance" / "_versions").iterdir():
        manifest.write_bytes(manifest.read_bytes()[:20])
    with pytest.raises(DamagedGalleryError) as error:
        LanceStore(place)
    assert "--rebuild" in error.value.remedy
    remove_gallery(place)
    assert LanceStore(place, IDENTITY).count() == 0


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LanceStore(tmp_path / "gallery", IDENTITY)

    class Full:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("lance error: LanceError(IO): Generic LocalFileSystem error: No space left on device")

    monkeypatch.setattr(store, "_files", Full())
    with pytest.raises(LikebutError) as error:
        store.remove_files(["/x"])
    assert error.value.code == "disk-full"


@pytest.mark.parametrize("identity", [None, IDENTITY])
def test_unsupported_locations(identity: GalleryIdentity | None) -> None:
    with pytest.raises(InputError) as error:
        LanceStore("http://localhost:1/g", identity)
    assert error.value.code == "unsupported-location" and "http://localhost:1/g" in error.value.problem


def test_removing_a_gallery(tmp_path: Path) -> None:
    remove_gallery(tmp_path / "none")
    store = LanceStore(tmp_path / "gallery", IDENTITY)
    store.put([sample(1)])
    remove_gallery(tmp_path / "gallery")
    assert LanceStore(tmp_path / "gallery", IDENTITY).count() == 0
    lancedb.connect(tmp_path / "other").create_table("images", [{"a": 1}])
    for use in (remove_gallery, LanceStore):
        with pytest.raises(InputError) as error:
            use(tmp_path / "other")
        assert error.value.code == "not-a-gallery"


def test_a_gallery_of_another_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likebut.gallery.identity.FORMAT", 2)
    with pytest.raises(InputError) as error:
        LanceStore(tmp_path / "gallery", GalleryIdentity(**{**IDENTITY.to_json(), "format": 1}))
    assert error.value.code == "unknown-gallery-format" and "format 1" in error.value.problem
