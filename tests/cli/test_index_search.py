"""``likebut index``, ``search`` and ``doctor`` with the preset tiny."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from helpers.command import Command
from likebut.data.images import decode
from likebut.errors import ImageError
from likebut.retriever.retriever import Retriever

COLOURS = {"red": (255, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    Retriever.from_preset("tiny").save(folder)
    return folder


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A folder of images and, next to it, their gallery."""
    from likebut.gallery.gallery import Gallery

    root = tmp_path_factory.mktemp("indexed")
    photos = root / "photos"
    photos.mkdir()
    for number, (name, colour) in enumerate(COLOURS.items()):
        Image.new("RGB", (60, 40 + number), colour).save(photos / f"{name}.png")
    (photos / "metadata.jsonl").write_text(
        "".join(json.dumps({"image": f"{n}.png", "colour": n, "[b]x": i}) + "\n" for i, n in enumerate(COLOURS))
    )
    with Gallery.open(root / "gallery", Retriever.from_pretrained(model)) as gallery:
        gallery.add(photos)
        gallery.store.set_setting("model", str(model))
    return root


def test_index_skips_and_lists_unusable_files(likebut: Command, indexed: Path, model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(indexed / "photos", photos)
    (photos / "bad.jpg").write_bytes(b"no picture")
    first = likebut("index", photos, "--gallery", tmp_path / "gallery", "--model", model)
    assert first.code == 0
    assert "4 images (4 added)" in first.out and f"bad.jpg: {reason_of(photos / 'bad.jpg')}" in first.out
    assert '"doing": "indexing"' in first.err
    (photos / "red.png").unlink()
    second = likebut("index", photos, "--gallery", tmp_path / "gallery", "--json")
    report = json.loads(second.out)
    assert (report["removed"], report["unchanged"], report["images"]) == (1, 3, 3)
    assert [Path(each["path"]).name for each in report["skipped"]] == ["bad.jpg"]


def test_ambiguous_metadata_lines_are_printed(likebut: Command, indexed: Path, model: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(indexed / "photos", tmp_path / "photos" / name)
    (tmp_path / "photos" / "metadata.csv").write_text("image;price\nred.png;12,50\n")
    again = ("index", tmp_path / "photos", "--gallery", tmp_path / "gallery", "--model", model)
    assert "metadata.csv line 2" in likebut(*again).out
    (line,) = json.loads(likebut(*again, "--json").out)["skipped_metadata"]
    assert line["line"].endswith("metadata.csv line 2") and "red.png" in line["reason"]


def test_a_text_longer_than_the_model_reads_is_reported(likebut: Command, indexed: Path) -> None:
    search = ("search", "--gallery", indexed / "gallery", "--json", "--text")
    assert json.loads(likebut(*search, "red").out)["truncated_texts"] == []
    found = likebut(*search, "red " * 31)
    assert json.loads(found.out)["truncated_texts"] == ["text"] and "--text" in found.err


def test_index_with_another_model_requires_rebuild(likebut: Command, indexed: Path, tmp_path: Path) -> None:
    shutil.copytree(indexed / "gallery", tmp_path / "gallery")
    other = tmp_path / "other"
    Retriever.from_preset("tiny", seed=1).save(other)
    again = ("index", indexed / "photos", "--gallery", tmp_path / "gallery", "--model", other)
    likebut(*again).require_refused("ptha/tiny", "--rebuild")
    assert likebut("index", tmp_path / "nowhere", "--gallery", tmp_path / "gallery", "--rebuild").code == 2
    rebuilt = likebut(*again, "--rebuild", "--json")
    assert rebuilt.code == 0 and json.loads(rebuilt.out)["added"] == 4


def test_rebuild_removes_nothing_before_inputs_are_checked(likebut: Command, indexed: Path, tmp_path: Path) -> None:
    gallery, photos = tmp_path / "gallery", tmp_path / "photos"
    shutil.copytree(indexed / "gallery", gallery)
    shutil.copytree(indexed / "photos", photos)
    again = ("index", photos, "--gallery", gallery, "--rebuild")
    assert likebut(*again, "--model", "tinymodle").code == 2
    (photos / "metadata.jsonl").write_text('{"image": "red.png", "width": 3}\n')
    likebut(*again).require_refused("width")
    kept = likebut("search", "--gallery", gallery, "--text", "red", "--json")
    assert kept.code == 0 and len(json.loads(kept.out)["hits"]) == 4
    (photos / "metadata.jsonl").unlink()
    # Without --model it is the gallery's own model, not the default one.
    rebuilt = likebut(*again, "--json")
    assert rebuilt.code == 0 and json.loads(rebuilt.out)["added"] == 4


def test_interrupted_rebuild_resumes(
    likebut: Command, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(indexed / "gallery", tmp_path / "gallery")
    again = ("index", indexed / "photos", "--gallery", tmp_path / "gallery", "--rebuild", "--json")
    with monkeypatch.context() as patch:
        patch.setattr("likebut.gallery.indexing.Indexer._update_metadata", interrupted)
        assert likebut(*again).code == 130
    resumed = json.loads(likebut(*again).out)
    assert (resumed["added"], resumed["unchanged"]) == (0, 4)
    restarted = json.loads(likebut(*again).out)
    assert (restarted["added"], restarted["unchanged"]) == (4, 0)


def test_a_stopped_rebuilding_only_from_the_same_folder(
    likebut: Command, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, gallery = tmp_path / "other", ("--gallery", tmp_path / "gallery", "--json")
    shutil.copytree(indexed / "gallery", tmp_path / "gallery")
    other.mkdir()
    Image.new("RGB", (50, 50), "pink").save(other / "pink.png")
    with monkeypatch.context() as patch:
        patch.setattr("likebut.gallery.indexing.Indexer._update_metadata", interrupted)
        assert likebut("index", indexed / "photos", *gallery, "--rebuild").code == 130
    assert json.loads(likebut("index", other, *gallery, "--rebuild").out)["images"] == 1
    # Any completed index run ends a rebuild.
    with monkeypatch.context() as patch:
        patch.setattr("likebut.gallery.indexing.Indexer._update_metadata", interrupted)
        assert likebut("index", other, *gallery, "--rebuild").code == 130
    assert json.loads(likebut("index", other, *gallery).out)["unchanged"] == 1
    assert json.loads(likebut("index", other, *gallery, "--rebuild").out)["added"] == 1


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_index_without_a_folder(likebut: Command, tmp_path: Path) -> None:
    likebut("index", "--gallery", tmp_path / "gallery").require_refused(code="folder-required")
    likebut("index", "--tune", "--gallery", tmp_path / "gallery").require_refused(str(tmp_path / "gallery"))


def test_tune(likebut: Command, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likebut.cli.index._TUNING_QUERIES", 3)
    table = likebut("index", "--tune", "--gallery", indexed / "gallery")
    assert table.code == 0 and "exact" in table.out and "chosen" in table.out
    trials = json.loads(likebut("index", "--tune", "--gallery", indexed / "gallery", "--json").out)
    assert trials[0]["recall@10"] == 1 and trials[0]["chosen"]


def test_search_table_json_and_sheet(likebut: Command, indexed: Path, tmp_path: Path) -> None:
    gallery = ("--gallery", indexed / "gallery")
    table = likebut("search", *gallery, "--image", indexed / "photos" / "red.png", "--text", "green", "-k", "2")
    assert table.code == 0 and "--offset 2" in table.out
    assert "[b]x" in table.out, "markup in metadata is not interpreted"
    sheet = tmp_path / "sheet.html"
    found = likebut(
        "search", *gallery, "--text", "<b>red</b>", "--filter", "colour=red|blue", "--json", "--sheet", sheet
    )
    found_json = json.loads(found.out)
    assert {hit["metadata"]["colour"] for hit in found_json["hits"]} == {"red", "blue"} and not found_json["more"]
    assert set(found_json["timings"]) == {"decode", "encode", "search", "rescore", "total"}
    page = sheet.read_text()
    assert "&lt;b&gt;red" in page and "<b>red" not in page and page.count("data:image/jpeg;base64,") == 2
    by_id = likebut("search", *gallery, "--image-id", found_json["hits"][0]["id"], "--json")
    assert len(json.loads(by_id.out)["hits"]) == 3


def test_damaged_gallery_is_reported_and_rebuilt(likebut: Command, indexed: Path, model: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    shutil.copytree(indexed / "gallery", gallery)
    for manifest in (gallery / "images.lance" / "_versions").iterdir():
        manifest.write_bytes(manifest.read_bytes()[:20])
    likebut("search", "--text", "red", "--gallery", gallery).require_refused(str(gallery), "--rebuild")
    checked = likebut("doctor", "--gallery", gallery)
    assert checked.code == 1 and "PROBLEM  gallery: " in checked.out
    rebuilt = likebut("index", indexed / "photos", "--gallery", gallery, "--model", model, "--rebuild", "--json")
    assert rebuilt.code == 0 and json.loads(rebuilt.out)["added"] == len(COLOURS)


def test_sheet_for_a_file_name_that_is_not_utf8(likebut: Command, indexed: Path, tmp_path: Path) -> None:
    picture = tmp_path / os.fsdecode(b"caf\xe9.png")
    shutil.copy(indexed / "photos" / "red.png", picture)
    sheet = tmp_path / "sheet.html"
    searched = likebut("search", "--gallery", indexed / "gallery", "--image", picture, "--sheet", sheet)
    assert searched.code == 0 and "caf?.png" in sheet.read_text(encoding="utf-8")


def test_search_opens_the_sheet(likebut: Command, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert likebut("search", "--gallery", indexed / "gallery", "--text", "red", "--open").code == 0
    assert len(opened) == 1 and opened[0].startswith("file://")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), ()),
        (("--text", "red", "--filter", "color=red"), ("color", "colour")),
        (("--text", "red", "--filter", "colour"), ("colour",)),
        (("--text", "red", "--weight", "2"), ("0", "1")),
        (("--image", "none.png"), ("none.png",)),
        (("--image-id", "../../etc/passwd"), ("../../etc/passwd",)),
    ],
)
def test_wrong_searches(likebut: Command, indexed: Path, arguments: tuple[str, ...], named: tuple[str, ...]) -> None:
    likebut("search", "--gallery", indexed / "gallery", *arguments).require_refused(*named)


def test_no_hits_and_no_gallery(likebut: Command, indexed: Path, tmp_path: Path) -> None:
    none = likebut("search", "--gallery", indexed / "gallery", "--text", "red", "--filter", "width>9999")
    assert none.code == 0 and none.out.count("\n") == 1
    likebut("search", "--gallery", tmp_path / "none", "--text", "red").require_refused("likebut index")


def test_doctor(likebut: Command, indexed: Path) -> None:
    report = json.loads(likebut("doctor", "--gallery", indexed / "gallery", "--json").out)
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["gallery"]["state"] == "ok" and "4 images" in checks["gallery"]["detail"]
    assert {"likebut", "libraries", "threads", "accelerator", "precision", "cache"} <= set(checks)
    assert re.search(r"fp32 \d+ GFLOPS, bf16 \d+ GFLOPS", checks["precision"]["detail"])
    assert all(check["remedy"] for check in report["checks"] if check["state"] != "ok")


def test_doctor_lists_problems_with_remedies(likebut: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    (tmp_path / "gallery").mkdir()
    result = likebut("doctor", "--gallery", tmp_path / "gallery")
    assert result.code == 1
    assert "likebut models pull small" in result.out
    assert sum(line.startswith("PROBLEM") for line in result.out.splitlines()) >= 2


def test_doctor_counts_missing_and_skipped_files(likebut: Command, indexed: Path, model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(indexed / "photos", photos)
    (photos / "bad.png").write_bytes(b"")
    assert likebut("index", photos, "--gallery", tmp_path / "gallery", "--model", model).code == 0
    (photos / "red.png").unlink()
    report = json.loads(likebut("doctor", "--gallery", tmp_path / "gallery", "--json").out)
    details = {check["name"]: check["detail"] for check in report["checks"]}
    assert details["gallery files"].startswith("1 ") and "red.png" in details["gallery files"]
    assert details["gallery skipped"].startswith("1 ") and "bad.png" in details["gallery skipped"]


def reason_of(path: Path) -> str:
    """Return why an image file cannot be used."""
    with pytest.raises(ImageError) as error:
        decode(path.read_bytes())
    return error.value.problem
