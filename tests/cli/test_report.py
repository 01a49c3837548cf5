from pathlib import Path

import pytest
from typer.testing import CliRunner

from likebut.cli.report import report_app
from likebut.errors import InputError
from likebut.research.reports.contents import write_contents


def test_the_page_is_drawn_again(tmp_path: Path) -> None:
    from helpers.report_samples import sample_contents

    write_contents(sample_contents(tmp_path), tmp_path / "demo.json")
    picture = tmp_path / "panels.png"
    arguments = ["demo", str(tmp_path), "--picture", str(picture)]
    result = CliRunner().invoke(report_app, arguments, catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (0, f"Wrote {tmp_path / 'report.html'}.\nWrote {picture}.\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "make it green" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_folder_without_a_demo(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="likebut demo"):
        CliRunner().invoke(report_app, ["demo", str(tmp_path)], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []
