"""The gallery over both stores: adding, finding, updating, deleting."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_retriever import FakeIdentity, FakeRetriever
from pictures_on_disk import coloured, png_bomb, write_pictures
from PIL import ExifTags, Image
from store_samples import KINDS

from likebut.errors import InputError, UnknownImageError
from likebut.gallery import indexing
from likebut.gallery.gallery import Gallery
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.memory_store import MemoryStore
from likebut.gallery.pictures import content_id
from likebut.gallery.requests import SearchRequest


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


def solid(path: Path, colour: tuple[int, int, int]) -> str:
    Image.new("RGB", (32, 32), colour).save(path)
    return content_id(path.read_bytes())


def names(gallery: Gallery) -> set[str]:
    return {Path(image.path).name for image in gallery.images(100)}


def test_a_folder_of_strangers_files(gallery: Gallery, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    coloured(1).save(photos / "plain.jpg")
    coloured(2).convert("P").save(photos / "palette.png")
    coloured(3).convert("CMYK").save(photos / "cmyk.jpg")
    coloured(4).save(photos / "animated.gif", save_all=True, append_images=[coloured(5)])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 8
    coloured(6).save(photos / "rotated.jpg", exif=exif)
    shutil.copy(photos / "plain.jpg", photos / "deep" / "same.jpg")
    buffer = io.BytesIO()
    coloured(7, (300, 300)).save(buffer, "JPEG")
    (photos / "truncated.jpg").write_bytes(buffer.getvalue()[:-200])
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "text.png").write_text("hello")
    (photos / "bomb.png").write_bytes(png_bomb())
    (photos / os.fsdecode(b"\xff.png")).write_bytes((photos / "palette.png").read_bytes())
    (photos / "notes.txt").write_text("not a picture, and not named like one")
    report = gallery.add(photos)
    assert (report.added, report.copies) == (5, 1)
    reasons = {Path(each.name).name: each.reason for each in report.set_aside}
    assert set(reasons) == {"truncated.jpg", "empty.jpg", "text.png", "bomb.png", "?.png"}
    assert reasons["empty.jpg"] == "The file is empty." and "pixels" in reasons["bomb.png"]
    assert len(gallery) == 5 and len(set(report.ids)) == 5 and len(report.ids) == 6
    rotated = next(image for image in gallery.images() if image.path.endswith("rotated.jpg"))
    assert (rotated.width, rotated.height) == (30, 40)
    assert len(gallery.search(text="red", k=50)) == 5


def test_adding_again_encodes_nothing(gallery: Gallery, folder: Path, retriever: FakeRetriever) -> None:
    (folder / "bad.jpg").write_bytes(b"x")
    assert gallery.add(folder).added == 12
    again = gallery.add(folder)
    assert (again.added, again.updated, again.unchanged, len(again.set_aside)) == (0, 0, 12, 1)
    assert retriever.embedded == 12 and len(gallery) == 12
    assert not again.changed


def test_moved_files_are_found_by_their_content(gallery: Gallery, folder: Path, retriever: FakeRetriever) -> None:
    gallery.add(folder)
    (folder / "3.png").rename(folder / "renamed.png")
    report = gallery.synchronise(folder)
    assert (report.moved, report.removed, report.unchanged) == (1, 0, 11)
    assert retriever.embedded == 12
    assert "renamed.png" in names(gallery) and "3.png" not in names(gallery) and len(gallery) == 12


def test_copies_share_an_image_until_the_last_is_gone(gallery: Gallery, folder: Path) -> None:
    shutil.copy(folder / "3.png", folder / "copy.png")
    assert gallery.add(folder).copies == 1
    kept = next(image for image in gallery.images() if Path(image.path).name in ("3.png", "copy.png"))
    Path(kept.path).unlink()
    report = gallery.synchronise(folder)
    assert (report.removed, len(gallery)) == (0, 12)
    other = gallery.image(kept.id).path
    assert other != kept.path and Path(other).is_file()
    Path(other).unlink()
    assert gallery.synchronise(folder).removed == 1
    assert kept.id not in gallery


def test_changed_files_replace_their_image(gallery: Gallery, folder: Path, retriever: FakeRetriever) -> None:
    old = gallery.add(folder / "3.png").ids[0]
    new = solid(folder / "3.png", (255, 0, 0))
    report = gallery.add(folder / "3.png")
    assert (report.added, report.updated, report.ids) == (0, 1, (new,))
    assert old not in gallery and new in gallery and len(gallery) == 1
    (folder / "3.png").write_bytes(b"broken")
    assert len(gallery.add(folder / "3.png").set_aside) == 1
    assert len(gallery) == 0


def test_renumbered_files_lose_nothing(
    gallery: Gallery, folder: Path, retriever: FakeRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_COMMIT_FILES", 2)
    for image_id in gallery.add(folder).ids:
        gallery.set_metadata(image_id, {"note": image_id})
    for number in range(11, -1, -1):
        (folder / f"{number}.png").rename(folder / f"{number + 1}.png")
    coloured(100).save(folder / "0.png")
    gallery.synchronise(folder)
    assert len(gallery) == 13 and retriever.embedded == 13
    assert [image.metadata.get("note") for image in gallery.images(100)].count(None) == 1
    require_right_paths(gallery)
    (folder / "0.png").unlink()
    for number in range(1, 13):
        (folder / f"{number}.png").rename(folder / f"{number - 1}.png")
    gallery.synchronise(folder)
    assert len(gallery) == 12 and retriever.embedded == 13
    require_right_paths(gallery)


def require_right_paths(gallery: Gallery) -> None:
    assert all(content_id(Path(image.path).read_bytes()) == image.id for image in gallery.images(100))


def test_what_a_changed_file_held_goes_even_if_the_run_was_killed(
    gallery: Gallery, folder: Path, retriever: FakeRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_COMMIT_FILES", 1), ("_BATCH", 1)):
        monkeypatch.setattr(indexing, name, value)
    old = gallery.add(folder).ids
    for number in range(12):
        coloured(200 + number).save(folder / f"{number}.png")
    with monkeypatch.context() as patch:
        embed = retriever.embed_images
        patch.setattr(retriever, "embed_images", lambda images: embed(images) if retriever.embedded < 18 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            gallery.add(folder)
    assert gallery.synchronise(folder).updated + 6 >= 12
    assert len(gallery) == 12 and not any(image_id in gallery for image_id in old)
    assert retriever.embedded == 24


def test_a_folder_is_the_same_by_whatever_way(gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "work").mkdir()
    monkeypatch.chdir(folder.parent / "work")
    assert gallery.synchronise("../photos").added == 12
    monkeypatch.chdir(folder.parent)
    (folder / "3.png").unlink()
    report = gallery.synchronise("photos")
    assert (report.unchanged, report.removed, report.copies) == (11, 1, 0)


def test_faulty_metadata_is_said_before_anything_is_added(gallery: Gallery, folder: Path) -> None:
    with pytest.raises(InputError, match="has the name of one that every image has"):
        gallery.add(folder, {"width": 3})
    assert len(gallery) == 0


def test_pictures_from_elsewhere_stay_when_a_folder_is_synchronised(gallery: Gallery, folder: Path) -> None:
    other = write_pictures(folder.with_name("other"), range(100, 102))
    gallery.add(other)
    gallery.add(folder)
    for path in list(folder.iterdir())[1:]:
        path.unlink()
    assert gallery.synchronise(folder).removed == 11
    assert len(gallery) == 3
    next(folder.iterdir()).unlink()
    with pytest.raises(InputError, match="holds no image files"):
        gallery.synchronise(folder)
    assert len(gallery) == 3, "an empty folder may be a disk that is not there"


def test_metadata_from_a_file_is_typed_updated_and_filtered(gallery: Gallery, folder: Path) -> None:
    table = folder / "metadata.csv"
    table.write_text("image,price,day\n0.png,3.5,2024-01-02\n1.png,8,2024-02-01\n")
    gallery.add(folder)
    assert [field.name for field in gallery.fields()][-2:] == ["price", "day"]
    assert gallery.count({"price": {"<": 5}}) == 1
    hit = gallery.search(text="red", filters={"day": {">": "2024-01-15"}})[0]
    assert Path(hit.path).name == "1.png" and hit.metadata["price"] == 8.0
    table.write_text("image,price,size\n0.png,4.5,XL\n1.png,8,S\n")
    report = gallery.add(folder)
    assert (report.updated, report.unchanged) == (2, 10)
    assert gallery.images(1, 0, {"size": "XL"})[0].metadata["price"] == 4.5
    table.write_text("image,price\n0.png,cheap\n")
    with pytest.raises(InputError, match=r'line 2: "price" is \'cheap\''):
        gallery.add(folder)
    with pytest.raises(InputError, match='no field "colour"'):
        gallery.search(text="red", filters={"colour": "red"})


def test_metadata_given_or_set(gallery: Gallery, folder: Path) -> None:
    (image_id,) = gallery.add(folder / "1.png", metadata={"owner": "Ada", "tags": ["new"]}).ids
    assert gallery.image(image_id).metadata == {"owner": "Ada", "tags": ("new",)}
    gallery.set_metadata(image_id, {"owner": None, "price": 3})
    assert gallery.image(image_id).metadata == {"tags": ("new",), "price": 3.0}
    with pytest.raises(UnknownImageError):
        gallery.set_metadata("0" * 64, {"owner": "x"})
    with pytest.raises(InputError, match='"price" is'):
        gallery.set_metadata(image_id, {"price": "x"})


def test_deleted_images_are_not_found(gallery: Gallery, folder: Path) -> None:
    ids = gallery.add(folder).ids
    assert gallery.delete(ids[0]) == 1 and gallery.delete([ids[0], ids[1]]) == 1
    found = {hit.id for hit in gallery.search(text="red", k=50)}
    assert found == set(ids[2:])
    for ask in (gallery.image, gallery.thumbnail, gallery.picture):
        with pytest.raises(UnknownImageError):
            ask(ids[0])
    with pytest.raises(UnknownImageError):
        gallery.search(image_id=ids[0], text="red")
    assert gallery.add(folder).added == 2, "adding the files again brings the images back"


def test_text_image_and_both(gallery: Gallery, tmp_path: Path) -> None:
    red, green, yellow = (tmp_path / f"{name}.png" for name in ("red", "green", "yellow"))
    ids = [solid(red, (255, 0, 0)), solid(green, (0, 255, 0)), solid(yellow, (255, 255, 0))]
    gallery.add([red, green, yellow])
    assert gallery.search(text="green", k=1)[0].id == ids[1]
    assert gallery.search(image=red, k=1, keep_references=True)[0].id == ids[0]
    # red + 2·green lies nearest to yellow: that is what the fake retriever's composition gives
    assert gallery.search(image=red, text="green", k=1)[0].id in (ids[1], ids[2])
    for given in (red, str(red), red.read_bytes()):
        assert ids[0] not in {hit.id for hit in gallery.search(image=given, text="green")}
    with Image.open(red) as picture:
        assert ids[0] in {hit.id for hit in gallery.search(image=picture, text="green")}
    assert {hit.id for hit in gallery.search(image_id=ids[0])} == set(ids[1:])


def test_weight_runs_from_text_to_image(gallery: Gallery, tmp_path: Path, retriever: FakeRetriever) -> None:
    red, blue = tmp_path / "red.png", tmp_path / "blue.png"
    ids = [solid(red, (255, 0, 0)), solid(blue, (0, 0, 255))]
    gallery.add([red, blue])

    def score_of_blue(weight: float) -> float:
        hits = gallery.search(image=red, text="blue", weight=weight, keep_references=True)
        return next(hit.score for hit in hits if hit.id == ids[1])

    scores = [score_of_blue(weight) for weight in (0, 0.25, 0.5, 0.75, 1)]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0.99
    with Image.open(red) as picture:
        composed = retriever.embed_queries([picture], ["blue"])[0]
        target = retriever.embed_images([picture])[0][0]
    blue_target = retriever.embed_texts(["blue"])[0]
    assert scores[2] == pytest.approx(float(composed @ blue_target), abs=1e-3)
    assert scores[4] == pytest.approx(float(target @ blue_target), abs=1e-3)


def test_several_references_are_averaged(gallery: Gallery, tmp_path: Path) -> None:
    colours = {"red": (255, 0, 0), "blue": (0, 0, 255), "purple": (255, 0, 255), "green": (0, 255, 0)}
    ids = {name: solid(tmp_path / f"{name}.png", colour) for name, colour in colours.items()}
    gallery.add(tmp_path / f"{name}.png" for name in colours)
    hits = gallery.search(image=[tmp_path / "red.png"], image_id=ids["blue"])
    assert [hit.id for hit in hits] == [ids["purple"], ids["green"]]


def test_negative_text_pushes_down(gallery: Gallery, tmp_path: Path) -> None:
    ids = [solid(tmp_path / "red.png", (255, 0, 0)), solid(tmp_path / "pink.png", (255, 128, 128))]
    gallery.add([tmp_path / "red.png", tmp_path / "pink.png"])
    assert [hit.id for hit in gallery.search(text="red")] == ids
    without = gallery.search(text="red white", negative="red")
    assert [hit.id for hit in without] == ids[::-1]


def test_pages_join_up(gallery: Gallery, folder: Path) -> None:
    gallery.add(folder)
    whole = [hit.id for hit in gallery.search(text="red", k=50)]
    paged = [gallery.find(SearchRequest(text="red", k=5, offset=offset)) for offset in (0, 5, 10, 15)]
    assert [hit.id for page in paged for hit in page.hits] == whole
    assert [page.more for page in paged] == [True, True, False, False]


def test_near_duplicates_share_a_hit(gallery: Gallery, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((50, 50, 1))).astype(np.uint8)
    original = Image.fromarray(pixels)
    original.save(tmp_path / "a.png")
    original.save(tmp_path / "b.jpg", quality=60)
    original.resize((200, 200)).save(tmp_path / "c.jpg")
    original.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "flipped.png")
    gallery.add(tmp_path / name for name in ("a.png", "b.jpg", "c.jpg", "flipped.png"))
    hits = gallery.search(text="red")
    assert sorted(len(hit.duplicates) for hit in hits) == [0, 2]
    assert len(gallery.search(text="red", group_duplicates=False)) == 4


@pytest.mark.parametrize(
    "options",
    [{}, {"text": "  "}, {"text": "a", "weight": 1.5}, {"text": "a", "k": 0}, {"text": "a", "offset": -1}],
)
def test_searches_that_cannot_be_answered(gallery: Gallery, options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        gallery.search(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": np.zeros((4, 4, 3))}, "given as a ndarray"),
        ({"text": None}, "text is None, not a text"),
        ({"text": "red", "k": "5"}, "k is '5', not a whole number"),
        ({"text": "red", "k": 10**12}, "not a whole number up to 1000000"),
        ({"image_id": [{"id": "x"}]}, "An image_id is not a text"),
    ],
)
def test_arguments_of_another_kind_are_explained(gallery: Gallery, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gallery.search(**options)


@pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (5, -1)])
def test_pages_begin_with_one(gallery: Gallery, limit: int, offset: int) -> None:
    with pytest.raises(InputError, match="start at 1 and 0"):
        gallery.images(limit, offset)


def test_bad_references_are_explained(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    for image in (tmp_path / "none.png", tmp_path / "bad.png", b"no picture", b""):
        with pytest.raises(InputError):
            gallery.search(image=image, text="red")


def test_reference_of_the_gallery_outlives_its_file(gallery: Gallery, folder: Path) -> None:
    ids = gallery.add(folder).ids
    before = gallery.search(image_id=ids[0], text="red", k=3)
    shutil.rmtree(folder)
    assert [hit.id for hit in gallery.search(image_id=ids[0], text="red", k=3)] == [hit.id for hit in before]


def test_timings_cover_the_stages(gallery: Gallery, folder: Path) -> None:
    gallery.add(folder)
    timings = gallery.find(SearchRequest(images=(folder / "1.png",), text="red")).timings
    assert min(timings.decode, timings.encode, timings.search, timings.rescore) > 0
    shown = timings.to_json()
    assert shown["total"] == pytest.approx(sum(shown.values()) - shown["total"], abs=0.01)


def test_another_retriever_is_refused(tmp_path: Path, folder: Path) -> None:
    Gallery.open(tmp_path / "gallery", FakeRetriever()).add(folder)
    other = FakeRetriever(FakeIdentity(model="fake/shapes", weights_sha256="f" * 64))
    with pytest.raises(InputError) as error:
        Gallery.open(tmp_path / "gallery", other)
    for part in ("fake/colours", "fake/shapes", "000000000000", "ffffffffffff", "likebut index", "--rebuild"):
        assert part in str(error.value)


def test_there_is_no_gallery(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no gallery"):
        Gallery.open(tmp_path / "none", FakeRetriever(), create=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is not a gallery"):
        Gallery.open(tmp_path / "empty", FakeRetriever(), create=False)
    with pytest.raises(InputError, match="no file or folder"):
        Gallery.open(tmp_path / "new", FakeRetriever()).add(tmp_path / "missing")


def test_a_gallery_opened_again_is_the_same(tmp_path: Path, folder: Path) -> None:
    (folder / "metadata.jsonl").write_text(json.dumps({"image": "1.png", "tags": ["a"]}))
    with Gallery.open(tmp_path / "gallery", FakeRetriever()) as gallery:
        gallery.add(folder)
        gallery.optimise(in_background=True)
        before = gallery.search(text="red", k=20)
    with Gallery.open(tmp_path / "gallery", FakeRetriever()) as again:
        assert again.search(text="red", k=20) == before
        assert again.fields() == gallery.fields()
