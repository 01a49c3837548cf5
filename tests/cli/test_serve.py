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
from likebut.errors import InputError
from likebut.server.settings import default_uploads, limit_idle_threads, read_token


def test_public_address_requires_a_token(likebut: Command) -> None:
    likebut("serve", "gallery", "--host", "0.0.0.0").require_refused("--token-file", code="token-required")


def test_wrong_options(likebut: Command, tmp_path: Path) -> None:
    assert likebut("serve", "gallery", "--port", "70000").code == 2
    assert likebut("serve").code == 2
    missing = likebut("serve", "gallery", "--token-file", tmp_path / "none")
    missing.require_refused(str(tmp_path / "none"), code="unreadable-token")


def test_token_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEBUT_TOKEN", "from-the-environment")
    file = tmp_path / "token"
    file.write_text("from-the-file-itself\n")
    from_environment, from_file = read_token(None), read_token(file)
    assert from_environment is not None and from_environment.get_secret_value() == "from-the-environment"
    assert from_file is not None and from_file.get_secret_value() == "from-the-file-itself"
    monkeypatch.delenv("LIKEBUT_TOKEN")
    assert read_token(None) is None


@pytest.mark.parametrize("token", ["", "short", "with a space in the middle", "ümlaut-ümlaut-ümlaut", "x" * 15])
def test_unsafe_tokens(tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_token(file)
    assert error.value.code == "unsafe-token" and str(file) in error.value.problem


def test_default_uploads_folder_is_next_to_the_gallery(tmp_path: Path) -> None:
    assert default_uploads(str(tmp_path / "my.gallery")) == tmp_path / "my.gallery-uploads"
    assert default_uploads("s3://bucket/gallery") is None


def test_unusable_uploads_folder_is_reported_before_the_gallery_is_opened(likebut: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = ("serve", tmp_path / "none", "--port", "0", "--uploads", tmp_path / "file")
    likebut(*arguments).require_refused(str(tmp_path / "file"))
    likebut(*arguments, "--read-only").require_refused(str(tmp_path / "none"))


@pytest.mark.slow
def test_index_and_serve(likebut: Command, tmp_path: Path) -> None:
    from likebut.retriever.retriever import Retriever

    Retriever.from_preset("tiny").save(tmp_path / "model")
    (tmp_path / "images").mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (64, 48), name).save(tmp_path / "images" / f"{name}.png")
    gallery = tmp_path / "my-gallery"
    assert likebut("index", tmp_path / "images", "--gallery", gallery, "--model", tmp_path / "model").code == 0
    run = "from likebut.cli.main import main; main()"
    command = [sys.executable, "-c", run, "serve", str(gallery), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        try:
            assert " 3 images " in line and str(gallery) in line
            url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
            body = json.dumps({"text": "red", "k": 2}).encode()
            request = urllib.request.Request(f"{url}v1/search", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as response:
                assert len(json.loads(response.read())["hits"]) == 2
            with urllib.request.urlopen(url, timeout=30) as page:
                assert b"<title>likebut</title>" in page.read()
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 0
        finally:
            server.kill()


def test_limit_idle_threads_respects_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"GOMP_SPINCOUNT": "7"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", environment)
        limit_idle_threads()
    assert environment == {"OPENBLAS_NUM_THREADS": "1", "GOMP_SPINCOUNT": "7"}
    # Both are read once, when numpy and torch are imported.
    code = "import sys, likebut.cli.serve, likebut.server.settings; print({'numpy', 'torch'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
