"""Searching a gallery, with each store."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.fake_retriever import MAX_WORDS, FakeIdentity, FakeRetriever
from likebut.errors import InputError
from likebut.gallery.gallery import Gallery
from likebut.gallery.images import content_id
from likebut.gallery.requests import SearchRequest


def save_solid(path: Path, colour: tuple[int, int, int]) -> str:
    Image.new("RGB", (32, 32), colour).save(path)
    return content_id(path.read_bytes())


def test_text_image_and_composed_queries(gallery: Gallery, tmp_path: Path) -> None:
    red, green, yellow = (tmp_path / f"{name}.png" for name in ("red", "green", "yellow"))
    ids = [save_solid(red, (255, 0, 0)), save_solid(green, (0, 255, 0)), save_solid(yellow, (255, 255, 0))]
    gallery.add([red, green, yellow])
    assert gallery.search(text="green", k=1)[0].id == ids[1]
    assert gallery.search(image=red, k=1, keep_references=True)[0].id == ids[0]
    # The fake retriever composes red + 2·green, whose nearest neighbour is yellow, though that of "green" is green.
    assert gallery.search(image=red, text="green", k=1, keep_references=True)[0].id == ids[2]
    for given in (red, str(red), red.read_bytes()):
        assert ids[0] not in {hit.id for hit in gallery.search(image=given, text="green")}
    with Image.open(red) as decoded:
        assert ids[0] in {hit.id for hit in gallery.search(image=decoded, text="green")}
    assert {hit.id for hit in gallery.search(image_id=ids[0])} == set(ids[1:])


def test_weight_interpolates_between_text_and_image(gallery: Gallery, tmp_path: Path, retriever: FakeRetriever) -> None:
    red, blue = tmp_path / "red.png", tmp_path / "blue.png"
    ids = [save_solid(red, (255, 0, 0)), save_solid(blue, (0, 0, 255))]
    gallery.add([red, blue])

    def score_of_blue(weight: float) -> float:
        hits = gallery.search(image=red, text="blue", weight=weight, keep_references=True)
        return next(hit.score for hit in hits if hit.id == ids[1])

    scores = [score_of_blue(weight) for weight in (0, 0.25, 0.5, 0.75, 1)]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0.99
    with Image.open(red) as decoded:
        composed = retriever.embed_queries([decoded], ["blue"])[0]
        target = retriever.embed_images([decoded])[0][0]
    blue_target = retriever.embed_texts(["blue"])[0]
    assert scores[2] == pytest.approx(float(composed @ blue_target), abs=1e-3)
    assert scores[4] == pytest.approx(float(target @ blue_target), abs=1e-3)


def test_several_references_are_averaged(gallery: Gallery, tmp_path: Path) -> None:
    colours = {"red": (255, 0, 0), "blue": (0, 0, 255), "purple": (255, 0, 255), "green": (0, 255, 0)}
    ids = {name: save_solid(tmp_path / f"{name}.png", colour) for name, colour in colours.items()}
    gallery.add(tmp_path / f"{name}.png" for name in colours)
    hits = gallery.search(image=[tmp_path / "red.png"], image_id=ids["blue"])
    assert [hit.id for hit in hits] == [ids["purple"], ids["green"]]


def test_negative_text_lowers_scores(gallery: Gallery, tmp_path: Path) -> None:
    ids = [save_solid(tmp_path / "red.png", (255, 0, 0)), save_solid(tmp_path / "pink.png", (255, 128, 128))]
    gallery.add([tmp_path / "red.png", tmp_path / "pink.png"])
    assert [hit.id for hit in gallery.search(text="red")] == ids
    without = gallery.search(text="red white", negative="red")
    assert [hit.id for hit in without] == ids[::-1]


def test_pages_concatenate_to_the_whole_result(gallery: Gallery, folder: Path) -> None:
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
def test_invalid_requests(gallery: Gallery, options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        gallery.search(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"image": np.zeros((4, 4, 3))}, "ndarray"),
        ({"text": None}, "text is None"),
        ({"text": "red", "k": "5"}, "k is '5'"),
        ({"text": "red", "k": 10**12}, "1000000"),
        ({"image_id": [{"id": "x"}]}, "image_id"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(gallery: Gallery, options: dict[str, object], named: str) -> None:
    with pytest.raises(InputError) as error:
        gallery.search(**options)
    assert named in error.value.problem


@pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (5, -1)])
def test_limit_and_offset_out_of_range(gallery: Gallery, limit: int, offset: int) -> None:
    with pytest.raises(InputError) as error:
        gallery.images(limit, offset)
    assert error.value.code == "invalid-request"


def test_unusable_reference_images(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    for image in (tmp_path / "none.png", tmp_path / "bad.png", b"no image", b""):
        with pytest.raises(InputError):
            gallery.search(image=image, text="red")


def test_a_reference_image_is_usable_after_its_file_is_deleted(gallery: Gallery, folder: Path) -> None:
    ids = gallery.add(folder).ids
    before = gallery.search(image_id=ids[0], text="red", k=3)
    shutil.rmtree(folder)
    assert [hit.id for hit in gallery.search(image_id=ids[0], text="red", k=3)] == [hit.id for hit in before]


def test_truncated_texts_are_reported(gallery: Gallery, folder: Path) -> None:
    gallery.add(folder)
    long = "red " * (MAX_WORDS + 1)
    assert gallery.find(SearchRequest(text="red", negative="blue")).truncated_texts == ()
    assert gallery.find(SearchRequest(text=long)).truncated_texts == ("text",)
    assert gallery.find(SearchRequest(text="blue", negative=long)).truncated_texts == ("negative",)
    # A weight of 1 uses the image alone.
    assert gallery.find(SearchRequest(images=(folder / "1.png",), text=long, weight=1.0)).truncated_texts == ()


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
    assert error.value.code == "gallery-model-mismatch"
    for part in ("fake/colours", "fake/shapes", "000000000000", "ffffffffffff", "likebut index", "--rebuild"):
        assert part in str(error.value)


def test_missing_galleries_and_files(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        Gallery.open(tmp_path / "none", FakeRetriever(), create=False)
    assert error.value.code == "missing-gallery"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as error:
        Gallery.open(tmp_path / "empty", FakeRetriever(), create=False)
    assert error.value.code == "not-a-gallery"
    with pytest.raises(InputError) as error:
        Gallery.open(tmp_path / "new", FakeRetriever()).add(tmp_path / "missing")
    assert error.value.code == "missing-file" and str(tmp_path / "missing") in error.value.problem


def test_the_contact_sheet_escapes_text(gallery: Gallery, folder: Path) -> None:
    image_id = gallery.add(folder / "1.png", {"note": "<b>bold</b>"}).ids[0]
    page = gallery.contact_sheet(gallery.search(text="red"), "<script>")
    assert "&lt;script&gt;" in page and "&lt;b&gt;bold&lt;/b&gt;" in page and "<b>bold" not in page
    assert base64.b64encode(gallery.thumbnail(image_id)).decode() in page


def test_a_reopened_gallery_is_unchanged(tmp_path: Path, folder: Path) -> None:
    (folder / "metadata.jsonl").write_text(json.dumps({"image": "1.png", "tags": ["a"]}))
    with Gallery.open(tmp_path / "gallery", FakeRetriever()) as gallery:
        gallery.add(folder)
        gallery.optimise(in_background=True)
        before = gallery.search(text="red", k=20)
    with Gallery.open(tmp_path / "gallery", FakeRetriever()) as again:
        assert again.search(text="red", k=20) == before
        assert again.fields() == gallery.fields()
