"""Adding, changing, moving and deleting files, with each store."""

import io
import os
import shutil
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from helpers.fake_retriever import FakeRetriever
from helpers.pictures_on_disk import coloured, png_bomb, write_pictures
from likebut.errors import InputError, UnknownImageError
from likebut.gallery import indexing
from likebut.gallery.gallery import Gallery
from likebut.gallery.images import content_id


def save_solid(path: Path, colour: tuple[int, int, int]) -> str:
    Image.new("RGB", (32, 32), colour).save(path)
    return content_id(path.read_bytes())


def names(gallery: Gallery) -> set[str]:
    return {Path(image.path).name for image in gallery.images(100)}


def test_unusual_and_damaged_files(gallery: Gallery, tmp_path: Path) -> None:
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
    (photos / "notes.txt").write_text("not an image")
    report = gallery.add(photos)
    assert (report.added, report.copies) == (5, 1)
    reasons = {Path(each.name).name: each.reason for each in report.skipped}
    assert set(reasons) == {"truncated.jpg", "empty.jpg", "text.png", "bomb.png", "?.png"}
    assert all(reasons.values()) and "100000000" in reasons["bomb.png"]
    assert len(gallery) == 5 and len(set(report.ids)) == 5 and len(report.ids) == 6
    rotated = next(image for image in gallery.images() if image.path.endswith("rotated.jpg"))
    assert (rotated.width, rotated.height) == (30, 40)
    assert len(gallery.search(text="red", k=50)) == 5


def test_unchanged_files_are_not_encoded_again(gallery: Gallery, folder: Path, retriever: FakeRetriever) -> None:
    (folder / "bad.jpg").write_bytes(b"x")
    assert gallery.add(folder).added == 12
    again = gallery.add(folder)
    assert (again.added, again.updated, again.unchanged, len(again.skipped)) == (0, 0, 12, 1)
    assert retriever.embedded == 12 and len(gallery) == 12
    assert not again.changed


def test_moved_files_are_recognised_by_content(gallery: Gallery, folder: Path, retriever: FakeRetriever) -> None:
    gallery.add(folder)
    (folder / "3.png").rename(folder / "renamed.png")
    report = gallery.synchronise(folder)
    assert (report.moved, report.removed, report.unchanged) == (1, 0, 11)
    assert retriever.embedded == 12
    assert "renamed.png" in names(gallery) and "3.png" not in names(gallery) and len(gallery) == 12


def test_copies_share_an_image_until_the_last_file_is_deleted(gallery: Gallery, folder: Path) -> None:
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


def test_paths_point_to_existing_files_after_a_folder_is_copied_and_deleted(
    gallery: Gallery, folder: Path, retriever: FakeRetriever
) -> None:
    new = folder.with_name("new")
    gallery.synchronise(folder)
    shutil.copytree(folder, new)
    assert gallery.synchronise(new).copies == 12
    shutil.rmtree(folder)
    report = gallery.synchronise(new)
    assert (report.moved, report.unchanged, report.removed) == (12, 0, 0) and report.changed
    assert_paths_match_content(gallery)
    assert all(Path(path).parent == new for path in gallery.store.files())
    assert gallery.synchronise(new).unchanged == 12 and retriever.embedded == 12


def test_changed_files_replace_their_image(gallery: Gallery, folder: Path, retriever: FakeRetriever) -> None:
    old = gallery.add(folder / "3.png").ids[0]
    new = save_solid(folder / "3.png", (255, 0, 0))
    report = gallery.add(folder / "3.png")
    assert (report.added, report.updated, report.ids) == (0, 1, (new,))
    assert old not in gallery and new in gallery and len(gallery) == 1
    (folder / "3.png").write_bytes(b"broken")
    assert len(gallery.add(folder / "3.png").skipped) == 1
    assert len(gallery) == 0


def test_renumbered_files_keep_their_metadata(
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
    assert_paths_match_content(gallery)
    (folder / "0.png").unlink()
    for number in range(1, 13):
        (folder / f"{number}.png").rename(folder / f"{number - 1}.png")
    gallery.synchronise(folder)
    assert len(gallery) == 12 and retriever.embedded == 13
    assert_paths_match_content(gallery)


def assert_paths_match_content(gallery: Gallery) -> None:
    assert all(content_id(Path(image.path).read_bytes()) == image.id for image in gallery.images(100))


def test_replaced_images_are_deleted_after_an_interrupted_run(
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
    report = gallery.synchronise(folder)
    # Six images of the interrupted run are stored already, without a file entry.
    assert (report.updated, report.moved, report.added) == (6, 6, 0)
    assert len(gallery) == 12 and not any(image_id in gallery for image_id in old)
    assert retriever.embedded == 24


def test_relative_paths_of_the_same_folder(gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "work").mkdir()
    monkeypatch.chdir(folder.parent / "work")
    assert gallery.synchronise("../photos").added == 12
    monkeypatch.chdir(folder.parent)
    (folder / "3.png").unlink()
    report = gallery.synchronise("photos")
    assert (report.unchanged, report.removed, report.copies) == (11, 1, 0)


def test_invalid_metadata_is_refused_before_anything_is_added(gallery: Gallery, folder: Path) -> None:
    with pytest.raises(InputError) as error:
        gallery.add(folder, {"width": 3})
    assert error.value.code == "reserved-field-name" and '"width"' in error.value.problem
    assert len(gallery) == 0


def test_synchronising_a_folder_keeps_images_from_elsewhere(gallery: Gallery, folder: Path) -> None:
    other = write_pictures(folder.with_name("other"), range(100, 102))
    gallery.add(other)
    gallery.add(folder)
    for path in list(folder.iterdir())[1:]:
        path.unlink()
    assert gallery.synchronise(folder).removed == 11
    assert len(gallery) == 3
    next(folder.iterdir()).unlink()
    with pytest.raises(InputError):
        gallery.synchronise(folder)
    assert len(gallery) == 3, "the disk of an empty folder may not be mounted"


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
    with pytest.raises(InputError) as error:
        gallery.add(folder)
    assert error.value.code == "metadata-type-mismatch"
    assert all(part in error.value.problem for part in (str(table), "line 2", '"price"', "'cheap'"))
    with pytest.raises(InputError) as error:
        gallery.search(text="red", filters={"colour": "red"})
    assert error.value.code == "unknown-field" and '"colour"' in error.value.problem


def test_an_emptied_cell_clears_the_value(gallery: Gallery, folder: Path) -> None:
    table = folder / "metadata.csv"
    table.write_text("image,price,colour\n0.png,3.5,red\n1.png,8,blue\n")
    ids = dict(zip(sorted(folder.glob("*.png")), gallery.add(folder).ids, strict=True))
    first = ids[folder / "0.png"]
    gallery.set_metadata(first, {"note": "mine"})
    table.write_text("image,price,colour\n0.png,,red\n1.png,8,\n")
    report = gallery.add(folder)
    assert (report.updated, report.unchanged) == (2, 10)
    assert gallery.image(first).metadata == {"colour": "red", "note": "mine"}, "a field without a column is kept"
    assert gallery.count({"price": {">": 0}}) == 1 and gallery.image(ids[folder / "1.png"]).metadata == {"price": 8.0}
    table.unlink()
    (folder / "metadata.jsonl").write_text('{"image": "0.png", "colour": null}\n{"image": "1.png"}\n')
    assert gallery.add(folder).updated == 1
    assert gallery.image(first).metadata == {"note": "mine"}


def test_ambiguous_metadata_lines_are_reported(gallery: Gallery, folder: Path) -> None:
    write_pictures(folder / "a", range(50, 52))
    write_pictures(folder / "b", range(50, 51))
    coloured(99).save(folder / "b" / "0.png")
    table = folder / "metadata.csv"
    table.write_text("image,price\n0.png,1\n50.png,2\n51.png,3\n")
    report = gallery.synchronise(folder)
    prices = {
        Path(image.path).relative_to(folder).as_posix(): image.metadata["price"]
        for image in gallery.images(100)
        if image.metadata
    }
    assert prices == {"0.png": 1.0, "a/51.png": 3.0}
    (skipped,) = report.skipped_metadata
    assert skipped.where == f"{table} line 3" and str(folder / "a" / "50.png") in skipped.reason
    assert report.to_json()["skipped_metadata"] == [{"line": skipped.where, "reason": skipped.reason}]


def test_metadata_is_given_or_set(gallery: Gallery, folder: Path) -> None:
    (image_id,) = gallery.add(folder / "1.png", metadata={"owner": "Ada", "tags": ["new"]}).ids
    assert gallery.image(image_id).metadata == {"owner": "Ada", "tags": ("new",)}
    gallery.set_metadata(image_id, {"owner": None, "price": 3})
    assert gallery.image(image_id).metadata == {"tags": ("new",), "price": 3.0}
    with pytest.raises(UnknownImageError):
        gallery.set_metadata("0" * 64, {"owner": "x"})
    with pytest.raises(InputError) as error:
        gallery.set_metadata(image_id, {"price": "x"})
    assert error.value.code == "metadata-type-mismatch" and '"price"' in error.value.problem


def test_deleted_images_are_not_found(gallery: Gallery, folder: Path) -> None:
    ids = gallery.add(folder).ids
    assert gallery.delete(ids[0]) == 1 and gallery.delete([ids[0], ids[1]]) == 1
    found = {hit.id for hit in gallery.search(text="red", k=50)}
    assert found == set(ids[2:])
    for method in (gallery.image, gallery.thumbnail, gallery.load_image):
        with pytest.raises(UnknownImageError):
            method(ids[0])
    with pytest.raises(UnknownImageError):
        gallery.search(image_id=ids[0], text="red")
    assert gallery.add(folder).added == 2, "adding the files again restores the images"
