import subprocess
import sys
from pathlib import Path

import pytest

import likebut
from likebut.errors import InputError


def test_the_package_is_the_function_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        likebut.adapt(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(InputError, match="stepz"):
        likebut.adapt(tmp_path, tmp_path / "out", stepz=3)
    assert likebut.adapt.AdaptSettings().base == "small"


def test_the_command_says_what_is_wrong_in_one_sentence(tmp_path: Path) -> None:
    def said(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "likebut", "adapt", *arguments], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr

    code, text = said(str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    assert code == 2 and "There is no folder" in text and "Traceback" not in text
    code, text = said(str(tmp_path), "--out", str(tmp_path / "out"), "--writer", "poet")
    assert code == 2 and '"poet"' in text
    code, text = said(str(tmp_path), "--out", str(tmp_path / "out"), "--minutes", "0")
    assert code == 2 and "--minutes" in text
