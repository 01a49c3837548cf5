from pathlib import Path

import pytest
from command import Command

from likebut.cli.serve import default_uploads, read_token
from likebut.errors import InputError


@pytest.fixture
def likebut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.delenv("LIKEBUT_TOKEN", raising=False)
    return Command(monkeypatch, capsys)


def test_an_open_address_without_a_token_is_refused_before_anything_is_loaded(likebut: Command) -> None:
    result = likebut("serve", "gallery", "--host", "0.0.0.0")
    assert result.code == 2 and "there is no token" in result.err and "--token-file" in result.err


def test_wrong_options_are_refused(likebut: Command, tmp_path: Path) -> None:
    assert likebut("serve", "gallery", "--port", "70000").code == 2
    assert likebut("serve").code == 2
    missing = likebut("serve", "gallery", "--token-file", tmp_path / "none")
    assert missing.code == 2 and "cannot be read" in missing.err


def test_the_token_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEBUT_TOKEN", "from-the-environment")
    file = tmp_path / "token"
    file.write_text("from-the-file-itself\n")
    from_environment, from_file = read_token(None), read_token(file)
    assert from_environment is not None and from_environment.get_secret_value() == "from-the-environment"
    assert from_file is not None and from_file.get_secret_value() == "from-the-file-itself"
    monkeypatch.delenv("LIKEBUT_TOKEN")
    assert read_token(None) is None


@pytest.mark.parametrize("token", ["", "short", "with a space in the midst", "ümlaut-ümlaut-ümlaut", "x" * 15])
def test_tokens_that_are_not_safe_are_refused(tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    with pytest.raises(InputError, match="characters"):
        read_token(file)


def test_added_pictures_go_beside_the_gallery(tmp_path: Path) -> None:
    assert default_uploads(str(tmp_path / "my.gallery")) == tmp_path / "my.gallery-uploads"
    assert default_uploads("s3://bucket/gallery") is None
