"""Binding, stopping and being killed."""

import asyncio
import json
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest
from pydantic import SecretStr

from helpers.fake_retriever import FakeRetriever
from helpers.processes import child_environment, helper_command
from helpers.server_samples import multipart, noise
from likebut.errors import InputError
from likebut.gallery.gallery import Gallery
from likebut.server.running import bind, url_of
from likebut.server.settings import ServerSettings

PATIENCE = 100.0  # seconds, enough for a loaded machine
TOKEN = SecretStr("correct-horse-battery")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "pictures.example", ""])
def test_public_addresses_require_a_token(host: str) -> None:
    with pytest.raises(InputError) as error:
        bind(ServerSettings(host=host, port=0))
    assert error.value.code == "token-required"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.7"])
def test_loopback_requires_no_token(host: str) -> None:
    with bind(ServerSettings(host=host, port=0)) as listening:
        assert url_of(listening).startswith("http://127.0.0.")


def test_public_address_with_a_token() -> None:
    with bind(ServerSettings(host="0.0.0.0", port=0, token=TOKEN)) as listening:
        assert url_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}/"


def test_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=str(port)) as error:
            bind(ServerSettings(port=port))
    assert error.value.code == "port-in-use"


def test_address_of_another_machine() -> None:
    with pytest.raises(InputError, match="192.0.2.1") as error:
        bind(ServerSettings(host="192.0.2.1", port=0, token=TOKEN))
    assert error.value.code == "cannot-bind"


@contextmanager
def process(folder: Path, seconds: float = 0.0) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    command = helper_command("serve_fake", folder / "gallery", folder / "uploads", seconds)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment()) as server:
        assert server.stdout is not None
        try:
            yield server, server.stdout.readline().strip()
        finally:
            server.kill()


def post(url: str, body: bytes, content_type: str) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return bytes(response.read())


def test_nagles_algorithm_is_off() -> None:
    async def nagle_is_off(listening: socket.socket) -> bool:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(greet, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            writer.close()
            return bool(await accepted)

    with bind(ServerSettings(port=0)) as listening:
        assert asyncio.run(nagle_is_off(listening))


@pytest.mark.parametrize("stop", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_graceful_shutdown(tmp_path: Path, stop: signal.Signals) -> None:
    responses: list[bytes] = []
    with process(tmp_path, seconds=0.7) as (server, url):
        asking = threading.Thread(
            target=lambda: responses.append(post(f"{url}v1/search", b'{"text": "red"}', "application/json"))
        )
        asking.start()
        assert server.stdout is not None and server.stdout.readline() == "embedding\n"
        server.send_signal(stop)
        asking.join(PATIENCE)
        code = server.wait(PATIENCE)
        rest = server.stdout.read()
    assert json.loads(responses[0])["hits"] == []
    if stop is signal.SIGINT:
        assert code == 0 and rest == "closed\n"
    else:
        assert code in (0, -signal.SIGTERM)


def test_kill_loses_no_acknowledged_image(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    lock = threading.Lock()

    def add(url: str, start: int) -> None:
        for number in range(start, start + 1000):
            form, content_type = multipart(("image", "a.png", noise(number)))
            try:
                response = json.loads(post(f"{url}v1/images", form, content_type))
            except (OSError, HTTPException):
                return
            with lock:
                acknowledged.append(response["images"][0]["id"])

    for round_number in range(2):
        with process(tmp_path) as (server, url):
            clients = [
                threading.Thread(target=add, args=(url, 100_000 * round_number + 10_000 * client))
                for client in range(3)
            ]
            for client in clients:
                client.start()
            before = len(acknowledged)
            while len(acknowledged) < before + 8:
                time.sleep(0.005)
            server.kill()
            for client in clients:
                client.join(20)
    gallery = Gallery.open(tmp_path / "gallery", FakeRetriever(), create=False)
    kept = gallery.store.get(acknowledged)
    assert set(kept) == set(acknowledged) and len(acknowledged) >= 10
    assert all(Path(image.path).is_file() for image in kept.values())
    assert all(gallery.thumbnail(image_id) for image_id in acknowledged)
