"""``likebut index``, ``search`` and ``doctor`` with the preset tiny."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from helpers.command import Command
from likebut.retriever.retriever import Retriever

COLOURS = {"red": (255, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    Retriever.from_preset("tiny").save(folder)
    return folder


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A folder with pictures, and beside it their gallery."""
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
        gallery.store.keep_setting("model", str(model))
    return root


@pytest.fixture
def likebut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("COLUMNS", "120")
    return Command(monkeypatch, capsys)


def test_index_takes_what_is_good_and_lists_the_rest(
    likebut: Command, indexed: Path, model: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(indexed / "photos", photos)
    (photos / "bad.jpg").write_bytes(b"no picture")
    first = likebut("index", photos, "--gallery", tmp_path / "gallery", "--model", model)
    assert first.code == 0
    assert "4 images (4 added)" in first.out and "bad.jpg: " in first.out
    assert '"doing": "indexing"' in first.err
    (photos / "red.png").unlink()
    second = likebut("index", photos, "--gallery", tmp_path / "gallery", "--json")
    report = json.loads(second.out)
    assert (report["removed"], report["unchanged"], report["images"]) == (1, 3, 3)
    assert [Path(each["path"]).name for each in report["skipped"]] == ["bad.jpg"]


def test_index_with_another_model_is_refused_and_rebuild_mends_it(
    likebut: Command, indexed: Path, tmp_path: Path
) -> None:
    shutil.copytree(indexed / "gallery", tmp_path / "gallery")
    other = tmp_path / "other"
    Retriever.from_preset("tiny", seed=1).save(other)
    again = ("index", indexed / "photos", "--gallery", tmp_path / "gallery", "--model", other)
    refused = likebut(*again)
    assert refused.code == 2 and "was made with ptha/tiny" in refused.err and "--rebuild" in refused.err
    assert likebut("index", tmp_path / "nowhere", "--gallery", tmp_path / "gallery", "--rebuild").code == 2
    rebuilt = likebut(*again, "--rebuild", "--json")
    assert rebuilt.code == 0 and json.loads(rebuilt.out)["added"] == 4


def test_a_rebuilding_removes_nothing_before_it_can_begin(likebut: Command, indexed: Path, tmp_path: Path) -> None:
    gallery, photos = tmp_path / "gallery", tmp_path / "photos"
    shutil.copytree(indexed / "gallery", gallery)
    shutil.copytree(indexed / "photos", photos)
    again = ("index", photos, "--gallery", gallery, "--rebuild")
    assert likebut(*again, "--model", "tinymodle").code == 2
    (photos / "metadata.jsonl").write_text('{"image": "red.png", "width": 3}\n')
    refused = likebut(*again)
    assert refused.code == 2 and "the name of one that every image has" in refused.err
    kept = likebut("search", "--gallery", gallery, "--text", "red", "--json")
    assert kept.code == 0 and len(json.loads(kept.out)["hits"]) == 4
    (photos / "metadata.jsonl").unlink()
    # Without --model it is the gallery's own again, not the usual one.
    rebuilt = likebut(*again, "--json")
    assert rebuilt.code == 0 and json.loads(rebuilt.out)["added"] == 4


def test_a_stopped_rebuilding_goes_on(
    likebut: Command, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(indexed / "gallery", tmp_path / "gallery")
    again = ("index", indexed / "photos", "--gallery", tmp_path / "gallery", "--rebuild", "--json")
    with monkeypatch.context() as patch:
        patch.setattr("likebut.gallery.indexing.Indexer._update_metadata", interrupted)
        assert likebut(*again).code == 130
    gone_on = json.loads(likebut(*again).out)
    assert (gone_on["added"], gone_on["unchanged"]) == (0, 4)
    anew = json.loads(likebut(*again).out)
    assert (anew["added"], anew["unchanged"]) == (4, 0)


def test_a_stopped_rebuilding_is_not_gone_on_with_from_elsewhere(
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
    # Whatever fills a gallery ends its rebuilding.
    with monkeypatch.context() as patch:
        patch.setattr("likebut.gallery.indexing.Indexer._update_metadata", interrupted)
        assert likebut("index", other, *gallery, "--rebuild").code == 130
    assert json.loads(likebut("index", other, *gallery).out)["unchanged"] == 1
    assert json.loads(likebut("index", other, *gallery, "--rebuild").out)["added"] == 1


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_index_without_a_folder(likebut: Command, tmp_path: Path) -> None:
    result = likebut("index", "--gallery", tmp_path / "gallery")
    assert result.code == 2 and "No folder was named" in result.err
    result = likebut("index", "--tune", "--gallery", tmp_path / "gallery")
    assert result.code == 2 and "There is no gallery" in result.err


def test_tune_prints_what_it_tried(likebut: Command, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likebut.cli.index._QUERIES", 3)
    table = likebut("index", "--tune", "--gallery", indexed / "gallery")
    assert table.code == 0 and "exact" in table.out and "chosen" in table.out
    trials = json.loads(likebut("index", "--tune", "--gallery", indexed / "gallery", "--json").out)
    assert trials[0]["recall@10"] == 1 and trials[0]["chosen"]


def test_search_table_json_and_sheet(likebut: Command, indexed: Path, tmp_path: Path) -> None:
    gallery = ("--gallery", indexed / "gallery")
    table = likebut("search", *gallery, "--image", indexed / "photos" / "red.png", "--text", "green", "-k", "2")
    assert table.code == 0 and "There are more: add --offset 2." in table.out
    assert "[b]x" in table.out, "what a file says is shown as it stands"
    sheet = tmp_path / "sheet.html"
    found = likebut(
        "search", *gallery, "--text", "<b>red</b>", "--filter", "colour=red|blue", "--json", "--sheet", sheet
    )
    answer = json.loads(found.out)
    assert {hit["metadata"]["colour"] for hit in answer["hits"]} == {"red", "blue"} and not answer["more"]
    assert set(answer["timings"]) == {"decode", "encode", "search", "rescore", "total"}
    page = sheet.read_text()
    assert "&lt;b&gt;red" in page and "<b>red" not in page and page.count("data:image/jpeg;base64,") == 2
    by_id = likebut("search", *gallery, "--image-id", answer["hits"][0]["id"], "--json")
    assert len(json.loads(by_id.out)["hits"]) == 3


def test_a_damaged_gallery_is_told_and_rebuilt(likebut: Command, indexed: Path, model: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    shutil.copytree(indexed / "gallery", gallery)
    for manifest in (gallery / "images.lance" / "_versions").iterdir():
        manifest.write_bytes(manifest.read_bytes()[:20])
    searched = likebut("search", "--text", "red", "--gallery", gallery)
    assert searched.code == 2 and "cannot be used" in searched.err and "--rebuild" in searched.err
    looked = likebut("doctor", "--gallery", gallery)
    assert looked.code == 1 and "PROBLEM  gallery: The gallery" in looked.out
    rebuilt = likebut("index", indexed / "photos", "--gallery", gallery, "--model", model, "--rebuild", "--json")
    assert rebuilt.code == 0 and json.loads(rebuilt.out)["added"] == len(COLOURS)


def test_a_sheet_for_a_picture_whose_name_is_not_utf8(likebut: Command, indexed: Path, tmp_path: Path) -> None:
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
    ("arguments", "message"),
    [
        ((), "neither an image nor a text"),
        (("--text", "red", "--filter", "color=red"), 'Did you mean "colour"'),
        (("--text", "red", "--filter", "colour"), "not of the form"),
        (("--text", "red", "--weight", "2"), "not between 0 and 1"),
        (("--image", "none.png"), "There is no file none.png"),
        (("--image-id", "../../etc/passwd"), "has no image"),
    ],
)
def test_wrong_searches_are_explained(
    likebut: Command, indexed: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = likebut("search", "--gallery", indexed / "gallery", *arguments)
    assert result.code == 2 and message in result.err and "Traceback" not in result.err


def test_nothing_found_and_no_gallery(likebut: Command, indexed: Path, tmp_path: Path) -> None:
    none = likebut("search", "--gallery", indexed / "gallery", "--text", "red", "--filter", "width>9999")
    assert none.code == 0 and "Nothing was found" in none.out
    missing = likebut("search", "--gallery", tmp_path / "none", "--text", "red")
    assert missing.code == 2 and "likebut index" in missing.err


def test_doctor_on_a_good_gallery(likebut: Command, indexed: Path) -> None:
    report = json.loads(likebut("doctor", "--gallery", indexed / "gallery", "--json").out)
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["gallery"]["state"] == "ok" and "4 images" in checks["gallery"]["detail"]
    assert {"likebut", "libraries", "threads", "accelerator", "precision", "cache"} <= set(checks)
    assert re.search(r"fp32 \d+ GFLOPS, bf16 \d+ GFLOPS", checks["precision"]["detail"])
    assert all(check["remedy"] for check in report["checks"] if check["state"] != "ok")


def test_doctor_names_what_is_missing_and_what_mends_it(
    likebut: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    (tmp_path / "gallery").mkdir()
    result = likebut("doctor", "--gallery", tmp_path / "gallery")
    assert result.code == 1
    assert "likebut models pull small" in result.out and "is not a gallery" in result.out


def test_doctor_counts_lost_and_unusable_files(likebut: Command, indexed: Path, model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(indexed / "photos", photos)
    (photos / "bad.png").write_bytes(b"")
    assert likebut("index", photos, "--gallery", tmp_path / "gallery", "--model", model).code == 0
    (photos / "red.png").unlink()
    out = likebut("doctor", "--gallery", tmp_path / "gallery").out
    assert "no longer where they were: 1" in out and "could not be used: 1" in out
