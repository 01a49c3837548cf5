"""``likebut demo`` with random weights: its output, its rerun, and the commands that use what it writes."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.command import Command, Result
from likebut.research.demo.settings import table_rows

ROWS = [row.name for row in table_rows(all_rows=False)]
METRICS = ("Recall@1", "Recall@5", "Recall@10", "Recall_subset@1", "mAP@10")
DEMO = ("demo", "--preset", "tiny", "--out", "demo")
GROUNDING = ("report", "grounding", "demo/data")
OWN_GENERATOR = ("--generator", "demo/trainings/generator")


class Finished(NamedTuple):
    """A finished demo: the working directory, which has the demo in ``demo``, and what the command printed."""

    root: Path
    printed: Result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEBUT_HOME", str(root / "home"))
        patch.setenv("COLUMNS", "150")
        patch.chdir(root)
        return Finished(root, Command()(*DEMO))


@pytest.fixture
def in_demo(likebut: Command, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in the working directory of the finished demo."""
    monkeypatch.setenv("LIKEBUT_HOME", str(finished.root / "home"))
    monkeypatch.chdir(finished.root)
    return likebut


def test_table(finished: Finished) -> None:
    printed = finished.printed
    assert printed.code == 0, printed.err
    lines = [line for line in printed.out.splitlines() if any(f"│ {name} " in line for name in ROWS)]
    assert len(lines) == len(ROWS) == 6
    for line in lines:
        assert len([cell for cell in line.split("│")[2:-1] if 0 <= float(cell) <= 100]) == len(METRICS)
    assert "demo/report.html" in printed.out and "likebut search" in printed.out


def test_stages_are_printed_to_standard_error(finished: Finished) -> None:
    assert sum(line.startswith("— ") for line in finished.printed.err.splitlines()) >= 4


def test_report_page(finished: Finished) -> None:
    page = (finished.root / "demo" / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in (*ROWS, *METRICS))
    assert "data:image/" in page and 'src="http' not in page  # self-contained


def test_json(finished: Finished) -> None:
    contents = json.loads((finished.root / "demo" / "demo.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in contents["rows"]] == ROWS
    assert (contents["queries"], contents["gallery"]) == (24, 24) and contents["panels"] and contents["written"]


def test_report_page_is_rebuilt_from_json(in_demo: Command) -> None:
    page = Path("demo/report.html").read_bytes()
    Path("demo/report.html").unlink()
    assert in_demo("report", "demo", "demo").code == 0
    assert Path("demo/report.html").read_bytes() == page


def test_rerun_repeats_no_work(in_demo: Command) -> None:
    again = in_demo(*DEMO, "--json")
    rows = json.loads(Path("demo/demo.json").read_text())["rows"]
    assert again.json() == {row["name"]: row["metrics"][0] for row in rows}
    progress = [json.loads(line) for line in again.err.splitlines() if line.startswith("{")]
    worked = {line["doing"] for line in progress}
    assert not worked & {"training the retriever", "training the generator", "drawing images"}


def test_trained_retriever_reproduces_its_row(in_demo: Command) -> None:
    model = "demo/trainings/ptha-with-mtst-pretraining-0"
    measured = in_demo("evaluate", "--model", model, "--data", "demo/data", "--json").json()
    row = json.loads(Path("demo/demo.json").read_text())["rows"][-1]["metrics"][0]
    assert {name: measured[name] for name in METRICS} == {name: row[name] for name in METRICS}


def test_grounding_of_the_trained_generator(in_demo: Command) -> None:
    result = in_demo(*GROUNDING, *OWN_GENERATOR, "--json").json()
    assert 0 <= result["f1"] <= 100
    consensus = in_demo(*GROUNDING, *OWN_GENERATOR, "--decoding", "consensus", "--json").json()
    assert consensus["pairs"] == result["pairs"]


@pytest.fixture
def copied(in_demo: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The working directory is one with a copy of the demo's data and generator; return the name of an image of it."""
    for part in ("data", "trainings/generator"):
        shutil.copytree(Path("demo") / part, tmp_path / "demo" / part)
    monkeypatch.chdir(tmp_path)
    last = Path("demo/data/triplets.jsonl").read_text().splitlines()[-1]
    return str(json.loads(last)["reference"])


def test_grounding_skips_a_damaged_image(likebut: Command, copied: str) -> None:
    (Path("demo/data/images") / copied).write_bytes(b"damaged")
    shown = likebut(*GROUNDING, *OWN_GENERATOR)
    assert shown.code == 0 and "1 image skipped" in shown.out and copied in shown.out


@pytest.mark.parametrize("source", [("--own-texts",), OWN_GENERATOR])
def test_grounding_with_a_missing_image(likebut: Command, copied: str, source: tuple[str, ...]) -> None:
    (Path("demo/data/images") / copied).unlink()
    likebut(*GROUNDING, *source).require_refused(copied)


def test_grounding_with_missing_attributes(likebut: Command, copied: str) -> None:
    attributes = Path("demo/data/attributes.jsonl")
    lines = attributes.read_text().splitlines(keepends=True)
    attributes.write_text("".join(line for line in lines if json.loads(line)["image"] != copied))
    likebut(*GROUNDING, "--own-texts").require_refused(copied)


def test_missing_weights_are_reported_before_any_work(likebut: Command, tmp_path: Path) -> None:
    likebut("demo", "--out", "demo").require_refused("likebut models pull small")
    assert not (tmp_path / "demo").exists()


def test_missing_generator_is_reported_before_any_work(
    likebut: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likebut.research.demo import settings

    monkeypatch.setattr(settings, "tiny", lambda: settings.DemoSettings(preset="tiny", generator="nobody"))
    likebut(*DEMO).require_refused("nobody")
    assert not (tmp_path / "demo").exists()
