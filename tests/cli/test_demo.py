"""The whole demo on random parts: what it leaves, what it prints, and that it goes on where it was."""

import json
from pathlib import Path

import pytest

from helpers.command import Command, Result
from likebut.research.demo.settings import table_rows

ROWS = [row.name for row in table_rows(all_rows=False)]
METRICS = ("Recall@1", "Recall@5", "Recall@10", "Recall_subset@1", "mAP@10")


@pytest.fixture
def likebut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


def test_the_demo_ends_with_a_table_and_a_report(likebut: Command, tmp_path: Path) -> None:
    shown = likebut("demo", "--preset", "tiny", "--out", "demo")
    assert shown.code == 0, shown.err
    require_table(shown)
    require_report(tmp_path / "demo")

    page = (tmp_path / "demo" / "report.html").read_bytes()
    (tmp_path / "demo" / "report.html").unlink()
    assert likebut("report", "demo", "demo").code == 0
    assert (tmp_path / "demo" / "report.html").read_bytes() == page

    require_nothing_done_again(likebut, tmp_path / "demo")

    # What it leaves can be used by the other commands.
    data = ("--data", "demo/data", "--json")
    measured = likebut("evaluate", "--model", "demo/trainings/ptha-with-mtst-pretraining-0", *data)
    paper = json.loads((tmp_path / "demo" / "demo.json").read_text())["rows"][-1]["metrics"][0]
    assert {name: json.loads(measured.out)[name] for name in METRICS} == {name: paper[name] for name in METRICS}
    own = ("--generator", "demo/trainings/generator")
    grounding = likebut("report", "grounding", "demo/data", *own, "--json")
    assert 0 <= json.loads(grounding.out)["f1"] <= 100
    by_consensus = likebut("report", "grounding", "demo/data", *own, "--decoding", "consensus", "--json")
    assert json.loads(by_consensus.out)["pairs"] == json.loads(grounding.out)["pairs"]
    require_bad_images_not_fatal(likebut, tmp_path / "demo" / "data", *own)


def require_bad_images_not_fatal(likebut: Command, data: Path, *generator: str) -> None:
    """Check that a grounding goes on without a damaged image, and says what it lacks of a missing one."""
    named = json.loads((data / "triplets.jsonl").read_text().splitlines()[-1])["reference"]
    picture, content = data / "images" / named, (data / "images" / named).read_bytes()
    picture.write_bytes(b"damaged")
    shown = likebut("report", "grounding", "demo/data", *generator)
    assert shown.code == 0 and "1 image was set aside" in shown.out and named in shown.out
    picture.unlink()
    for told in (("--own-texts",), generator):
        missing = likebut("report", "grounding", "demo/data", *told)
        assert missing.code == 2 and f"have no file below images/, {named} first" in missing.err
    picture.write_bytes(content)
    attributes = data / "attributes.jsonl"
    lines = attributes.read_text().splitlines(keepends=True)
    attributes.write_text("".join(line for line in lines if json.loads(line)["image"] != named))
    untold = likebut("report", "grounding", "demo/data", "--own-texts")
    assert untold.code == 2 and f"have no attributes, {named} first" in untold.err


def require_table(shown: Result) -> None:
    assert "24 composed queries over a gallery of 24 pictures" in shown.out
    lines = [line for line in shown.out.splitlines() if any(f"│ {name} " in line for name in ROWS)]
    assert len(lines) == len(ROWS) == 6
    for line in lines:
        assert len([cell for cell in line.split("│")[2:-1] if 0 <= float(cell) <= 100]) == len(METRICS)
    assert "Report: demo/report.html" in shown.out and "Next: " in shown.out and "likebut search" in shown.out
    # One line a stage on standard error says what is going on.
    stages = [line for line in shown.err.splitlines() if line.startswith("— ")]
    assert stages[0] == "— rendering sample pictures" and "— writing modification texts" in stages


def require_report(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in (*ROWS, *METRICS))
    assert "data:image/" in page and 'src="http' not in page  # everything is in the one file
    contents = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in contents["rows"]] == ROWS
    assert (contents["queries"], contents["gallery"]) == (24, 24) and contents["panels"] and contents["written"]


def require_nothing_done_again(likebut: Command, folder: Path) -> None:
    """Run the demo a second time: the same figures, no step trained, no text written."""
    again = likebut("demo", "--preset", "tiny", "--out", "demo", "--json")
    rows = json.loads((folder / "demo.json").read_text())["rows"]
    assert json.loads(again.out) == {row["name"]: row["metrics"][0] for row in rows}
    progress = [json.loads(line) for line in again.err.splitlines() if line.startswith("{")]
    worked = {line["doing"] for line in progress}
    assert not worked & {"training the retriever", "training the generator", "drawing images"}


def test_missing_weights_are_said_before_the_first_picture(likebut: Command, tmp_path: Path) -> None:
    stopped = likebut("demo", "--out", "demo")
    assert stopped.code == 2 and "Run `likebut models pull small`." in stopped.err
    assert not (tmp_path / "demo").exists()


def test_a_missing_generator_is_said_before_the_first_picture(
    likebut: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likebut.research.demo import settings

    monkeypatch.setattr(settings, "tiny", lambda: settings.DemoSettings(preset="tiny", generator="nobody"))
    stopped = likebut("demo", "--preset", "tiny", "--out", "demo")
    assert stopped.code == 2 and '"nobody"' in stopped.err
    assert not (tmp_path / "demo").exists()
