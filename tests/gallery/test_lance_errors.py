"""What the engine cannot do is said in a sentence with a remedy."""

from pathlib import Path

import pytest

from helpers.store_samples import IDENTITY, sample
from likebut.errors import InputError, LikebutError
from likebut.gallery.lance_store import LanceStore
from likebut.gallery.lance_tables import DamagedGalleryError, clear_errors, remove_gallery


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)"), LikebutError, "full"),
        (RuntimeError("lance error: CreateIndex transaction was preempted. Please retry"), LikebutError, "again"),
        (RuntimeError("lance error: Permission denied (os error 13)"), InputError, "may not be written"),
        (RuntimeError("lance error: file is too short"), DamagedGalleryError, "--rebuild"),
        (ValueError("Table 'images' was not found"), InputError, "no longer there"),
    ],
)
def test_what_the_engine_raises_has_a_remedy(raised: Exception, kind: type[LikebutError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught, clear_errors("/g"):
        raise raised
    assert type(caught.value) is kind and "/g" in caught.value.problem


@pytest.mark.parametrize(
    "raised", [ValueError("k is wrong"), RuntimeError("threads"), OSError(5, "Input/output error", "/g/x")]
)
def test_what_is_not_the_engines_or_clear_as_it_is_stays(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, clear_errors("/g"):
        raise raised
    assert caught.value is raised


@pytest.mark.parametrize("table", ["images", "settings"])
def test_a_truncated_table_is_told_and_can_be_replaced(tmp_path: Path, table: str) -> None:
    place = tmp_path / "gallery"
    LanceStore(place, IDENTITY).put([sample(1)])
    for manifest in (place / f"{table}.lance" / "_versions").iterdir():
        manifest.write_bytes(manifest.read_bytes()[:20])
    with pytest.raises(DamagedGalleryError, match="--rebuild"):
        LanceStore(place)
    remove_gallery(place)
    assert LanceStore(place, IDENTITY).count() == 0


def test_a_disk_that_fills_up_while_images_are_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LanceStore(tmp_path / "gallery", IDENTITY)

    class Full:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("lance error: LanceError(IO): Generic LocalFileSystem error: No space left on device")

    monkeypatch.setattr(store, "_files", Full())
    with pytest.raises(LikebutError, match="The disk is full"):
        store.remove_files(["/x"])


def test_no_gallery_can_be_on_a_web_server() -> None:
    for identity in (None, IDENTITY):
        with pytest.raises(InputError, match="No gallery can be at http://localhost:1/g"):
            LanceStore("http://localhost:1/g", identity)
