from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from helpers.collections_made import make_images, write_metadata
from likebut.adapt.paths import names_of_files, names_of_folders, words_in
from likebut.adapt.texts import find_texts
from likebut.data.images import list_images
from likebut.errors import InputError

XMP = (
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF><rdf:Description>"
    "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>{title}</rdf:li></rdf:Alt></dc:title>"
    "<dc:subject><rdf:Bag><rdf:li>{keyword}</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize(
    "name", ["IMG_1234", "DSC00012", "PXL_20230101_123456789", "a3f9c2d4e5b6a7f8", "20240131", "WhatsApp Image"]
)
def test_what_devices_write_is_no_name(name: str) -> None:
    assert words_in(name) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Golden-Delicious", "Golden Delicious"),
        ("oatMilk_03", "oat Milk"),
        ("train_Kiwi_001", "Kiwi"),
        ("blå-stol", "blå stol"),
    ],
)
def test_what_people_write_is_a_name(name: str, words: str) -> None:
    assert " ".join(words_in(name)) == words


def test_folders_name_images_unless_all_are_in_one() -> None:
    found = names_of_folders(["shop/fruit/apple/1.jpg", "shop/fruit/pear/2.jpg", "shop/tea/3.jpg", "shop/tea/4.jpg"])
    assert found["shop/fruit/apple/1.jpg"] == ["apple", "fruit"]
    assert found["shop/tea/3.jpg"] == ["tea"]


def test_words_that_most_files_have_are_left_out_of_their_names() -> None:
    assert names_of_files(["holiday beach 1.jpg", "holiday castle 2.jpg", "holiday 3.jpg"]) == {
        "holiday beach 1.jpg": "beach",
        "holiday castle 2.jpg": "castle",
        "holiday 3.jpg": "",
    }


def test_captions_and_keywords_inside_files_are_read(tmp_path: Path) -> None:
    for number, title in enumerate(("Harbour at dawn", "Castle hill")):
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.format(title=title, keyword=f"place {number}"))
        Image.new("RGB", (8, 8)).save(tmp_path / f"IMG_{number}.png", pnginfo=info)
    described, coverage = find_texts(tmp_path, list_images(tmp_path))
    assert described[0].names == ("Harbour at dawn", "place 0")
    assert {source.source for source in coverage.sources} == {"titles in files", "keywords in files"}


def test_the_coverage_counts_images_and_warns(tmp_path: Path) -> None:
    make_images(tmp_path, 10)
    write_metadata(tmp_path, [{"image": f"IMG_{number:04d}.png", "title": f"thing {number}"} for number in range(3)])
    _, coverage = find_texts(tmp_path, list_images(tmp_path))
    assert (coverage.images, coverage.with_text) == (10, 3)
    assert any("3 of 10" in warning for warning in coverage.warnings)


def test_texts_that_are_all_equal_are_warned_of(tmp_path: Path) -> None:
    make_images(tmp_path, 4)
    write_metadata(tmp_path, [{"image": f"IMG_{number:04d}.png", "title": "photo of a box"} for number in range(4)])
    _, coverage = find_texts(tmp_path, list_images(tmp_path), ["title"])
    assert any("distinguishes nothing" in warning for warning in coverage.warnings)


@pytest.mark.parametrize(
    "text", ["ä", "🍎", "牛奶 低脂", "x" * 10_000, "word " * 2_500, "line\nbreak\ttab", "<b></b>x"]
)
def test_odd_texts_are_cut_to_what_can_be_read(tmp_path: Path, text: str) -> None:
    make_images(tmp_path, 2)
    write_metadata(tmp_path, [{"image": "IMG_0000.png", "title": text}, {"image": "IMG_0001.png", "title": "other"}])
    described, _ = find_texts(tmp_path, list_images(tmp_path), ["title"])
    texts = [*described[0].names, *described[0].prose]
    assert texts
    assert all(len(each.split()) <= 16 for each in texts)


def test_a_column_without_a_metadata_file_is_refused(tmp_path: Path) -> None:
    make_images(tmp_path, 2)
    with pytest.raises(InputError, match="no metadata file"):
        find_texts(tmp_path, list_images(tmp_path), ["title"])
