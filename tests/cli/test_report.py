"""``likebut report demo``."""

from pathlib import Path

from helpers.command import Command
from helpers.report_samples import sample_contents
from likebut.research.reports.contents import write_contents


def test_demo_page_and_image(likebut: Command, tmp_path: Path) -> None:
    write_contents(sample_contents(tmp_path), tmp_path / "demo.json")
    image = tmp_path / "panels.png"
    result = likebut("report", "demo", tmp_path, "--picture", image)
    assert result.code == 0 and str(tmp_path / "report.html") in result.out and str(image) in result.out
    assert image.read_bytes().startswith(b"\x89PNG")
    assert "make it green" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_folder_without_a_demo(likebut: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    likebut("report", "demo", "empty").require_refused("demo.json", "empty", "likebut demo")
    assert list((tmp_path / "empty").iterdir()) == []
