import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from helpers.command import Command
from likebut.cli.serve import let_threads_rest
from likebut.errors import InputError
from likebut.server.settings import default_uploads, read_token


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


def test_a_place_where_nothing_can_be_added_is_told_before_anything_is_loaded(likebut: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    asked = ("serve", tmp_path / "none", "--port", "0", "--uploads", tmp_path / "file")
    refused = likebut(*asked)
    assert refused.code == 2 and "file is a file, not a folder. Give a folder for added pictures." in refused.err
    assert "There is no gallery" in likebut(*asked, "--read-only").err


@pytest.mark.slow
def test_a_folder_is_indexed_and_served(likebut: Command, tmp_path: Path) -> None:
    from likebut.retriever.retriever import Retriever

    Retriever.from_preset("tiny").save(tmp_path / "model")
    (tmp_path / "pictures").mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (64, 48), name).save(tmp_path / "pictures" / f"{name}.png")
    gallery = tmp_path / "my-gallery"
    assert likebut("index", tmp_path / "pictures", "--gallery", gallery, "--model", tmp_path / "model").code == 0
    run = "from likebut.cli.main import main; main()"
    command = [sys.executable, "-c", run, "serve", str(gallery), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = server.stderr.readline()
        try:
            assert "searches 3 images" in said and str(gallery) in said
            url = next(word for word in said.split() if word.startswith("http://127.0.0.1:"))
            body = json.dumps({"text": "red", "k": 2}).encode()
            request = urllib.request.Request(f"{url}v1/search", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert len(json.loads(answer.read())["hits"]) == 2
            with urllib.request.urlopen(url, timeout=30) as page:
                assert b"<title>likebut</title>" in page.read()
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 0
        finally:
            server.kill()


def test_idle_threads_rest_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"GOMP_SPINCOUNT": "7"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", environment)
        let_threads_rest()
    assert environment == {"OPENBLAS_NUM_THREADS": "1", "GOMP_SPINCOUNT": "7"}
    # Both are read once, when numpy and torch are imported.
    code = "import sys, likebut.cli.serve, likebut.server.settings; print({'numpy', 'torch'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
