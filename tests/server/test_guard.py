"""Who may enter: tokens, sessions, and how many at once."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import SecretStr

from helpers.fake_retriever import FakeRetriever
from helpers.live_server import LiveServer
from helpers.server_samples import filled_gallery, multipart, picture
from likebut.server.guard import is_known_host
from likebut.server.service import Service
from likebut.server.settings import ServerSettings

TOKEN = "correct-horse-battery"


def with_token(tmp_path: Path) -> LiveServer:
    settings = ServerSettings(token=SecretStr(TOKEN), uploads=tmp_path / "uploads")
    return LiveServer(Service(filled_gallery(), settings))


def test_routes_that_need_no_token(tmp_path: Path) -> None:
    with with_token(tmp_path) as server:
        for path in ("/", "/page/main.js", "/healthz", "/readyz"):
            assert server.request("GET", path).status == 200
        for method, path in (
            ("POST", "/v1/search"),
            ("GET", "/v1/images"),
            ("GET", "/v1/galleries"),
            ("GET", f"/v1/images/{'0' * 64}/thumbnail"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
            ("GET", "/nowhere"),
        ):
            for headers in (
                {},
                {"Authorization": f"Bearer {TOKEN}x"},
                {"Authorization": f"Basic {TOKEN}"},
                {"Authorization": TOKEN},
                {"Authorization": "Bearer "},
                {"Cookie": f"likebut_session={TOKEN}"},
                {"Cookie": "likebut_session="},
            ):
                response = server.request(method, path, headers=headers)
                assert response.status == 401 and response.json()["error"]["code"] == "unauthorised"
                assert response.headers["www-authenticate"] == "Bearer"
            assert server.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"}).status != 401


def test_session_cookie_does_not_contain_the_token(tmp_path: Path) -> None:
    with with_token(tmp_path) as server:
        assert server.post_json("/v1/session", {"token": "wrong"}).status == 401
        begun = server.post_json("/v1/session", {"token": TOKEN})
        cookie = begun.headers["set-cookie"]
        assert begun.status == 204 and TOKEN not in cookie
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        session = {"Cookie": cookie.partition(";")[0]}
        assert server.request("GET", "/v1/galleries", headers=session).status == 200
        ended = server.request("DELETE", "/v1/session", headers=session)
        assert ended.status == 204 and 'likebut_session=""' in ended.headers["set-cookie"]


def test_read_only(tmp_path: Path) -> None:
    settings = ServerSettings(read_only=True, uploads=tmp_path / "uploads")
    with LiveServer(Service(filled_gallery(), settings)) as server:
        image_id = server.request("GET", "/v1/images").json()["images"][0]["id"]
        form, content_type = multipart(("image", "a.png", picture((1, 2, 3))))
        for response in (
            server.request("POST", "/v1/images", form, {"Content-Type": content_type}),
            server.request("DELETE", f"/v1/images/{image_id}"),
        ):
            assert response.status == 403 and response.json()["error"]["code"] == "read_only"
        (gallery,) = server.request("GET", "/v1/galleries").json()["galleries"]
        assert gallery["images"] == 8 and not gallery["can_add"] and not gallery["can_delete"]


class HeldRetriever(FakeRetriever):
    """Embeds texts only once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.released = threading.Event(), threading.Event()

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.entered.set()
        assert self.released.wait(10)
        return super().embed_texts(texts)


def test_too_many_concurrent_requests() -> None:
    retriever = HeldRetriever()
    with LiveServer(Service(filled_gallery(retriever), ServerSettings(in_flight=2))) as server:
        statuses: list[int] = []
        searches = [
            threading.Thread(target=lambda: statuses.append(server.post_json("/v1/search", {"text": "red"}).status))
            for _ in range(2)
        ]
        for search in searches:
            search.start()
        assert retriever.entered.wait(10)
        while server.request("GET", "/metrics").content.count(b"likebut_requests_in_flight 2.0") == 0:
            pass
        refused = server.post_json("/v1/search", {"text": "red"})
        assert refused.status == 429 and refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["code"] == "too_many_requests"
        assert server.request("GET", "/healthz").status == 200
        retriever.released.set()
        for search in searches:
            search.join()
        assert statuses == [200, 200]
        assert server.post_json("/v1/search", {"text": "red"}).status == 200


def test_timeout() -> None:
    retriever = HeldRetriever()
    with LiveServer(Service(filled_gallery(retriever), ServerSettings(seconds=0.3))) as server:
        response = server.post_json("/v1/search", {"text": "red"})
        assert response.status == 503 and response.json()["error"]["code"] == "timeout"
        assert "retry-after" in response.headers
        retriever.released.set()
        assert server.post_json("/v1/search", {"text": "red"}).status == 200


class FailingRetriever(FakeRetriever):
    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        raise ZeroDivisionError("a mistake in the program")


def test_unexpected_error_reveals_nothing() -> None:
    with LiveServer(Service(filled_gallery(FailingRetriever()), ServerSettings())) as server:
        response = server.post_json("/v1/search", {"text": "red"})
        assert response.status == 500
        assert set(response.json()["error"]) == {"code", "message", "remedy"}
        assert b"mistake" not in response.content and b"Traceback" not in response.content
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert server.request("GET", "/readyz").status == 200


@pytest.mark.parametrize(
    ("header", "host", "known"),
    [
        ("127.0.0.1:8333", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("LOCALHOST:1", "127.0.0.1", True),
        ("[::1]:8333", "127.0.0.1", True),
        ("127.9.9.9", "127.0.0.1", True),
        ("192.168.1.5:8333", "127.0.0.1", False),
        ("192.168.1.5:8333", "0.0.0.0", True),
        ("[fe80::1]", "::", True),
        ("pictures.example", "0.0.0.0", True),
        ("pictures.example", "127.0.0.1", True),
        ("other.example", "0.0.0.0", False),
        ("pictures.example.evil.net", "0.0.0.0", False),
        ("a@127.0.0.1", "127.0.0.1", False),
        ("", "0.0.0.0", False),
    ],
)
def test_known_hosts(header: str, host: str, known: bool) -> None:
    assert is_known_host(header, ServerSettings(host=host, allowed_hosts=("pictures.example",))) is known
