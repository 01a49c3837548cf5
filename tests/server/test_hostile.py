"""Two hundred requests that nobody with good intentions sends: each is refused, and the server goes on."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from helpers.live_server import LiveServer
from helpers.server_samples import COLOURS, filled_gallery, multipart, picture
from likebut.server.service import Service
from likebut.server.settings import ServerSettings

RED = picture(COLOURS["red"])
GOOD_ID = "a" * 64


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = ServerSettings(
        uploads=tmp_path_factory.mktemp("hostile") / "uploads", upload_bytes=2_000_000, pixels=1_000_000
    )
    with LiveServer(Service(filled_gallery(), settings)) as live:
        yield live


@pytest.fixture(autouse=True)
def still_up(server: LiveServer) -> Iterator[None]:
    yield
    assert server.request("GET", "/readyz").status == 200
    response = server.post_json("/v1/search", {"text": "red", "k": 1})
    assert response.status == 200 and response.json()["hits"][0]["path"] == "/pictures/red.png"


def refused(server: LiveServer, method: str, path: str, body: bytes | None = None, content_type: str = "") -> str:
    """Send a request, check that it is refused with the envelope, and return the error's code."""
    response = server.request(method, path, body, {"Content-Type": content_type} if content_type else {})
    assert 400 <= response.status < 500, (method, path[:100], response.status, response.content[:300])
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    error = response.json()["error"]
    assert set(error) == {"code", "message", "remedy"}
    assert all(isinstance(text, str) and 0 < len(text) <= 600 for text in error.values())
    return str(error["code"])


EVIL_IDS = [
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "../../../etc/passwd",
    "....//....//etc/passwd",
    "..%5c..%5cwindows%5cwin.ini",
    "..%c0%af..%c0%afetc%c0%afpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "/etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "http:%2f%2f169.254.169.254%2flatest",
    "C:%5cboot.ini",
    "%00",
    GOOD_ID + "%00",
    GOOD_ID + "%0a",
    GOOD_ID + ".jpg",
    GOOD_ID[:-1],
    GOOD_ID + "a",
    "A" * 64,
    "g" * 64,
    "%EF%BC%A1" * 64,
    "%27%20OR%20%271%27=%271",
    "*",
    "null",
    "-1",
    "x" * 6000,
    "%3Cscript%3Ealert(1)%3C%2fscript%3E",
    GOOD_ID,
]


@pytest.mark.parametrize("method_and_end", [("GET", ""), ("GET", "/thumbnail"), ("GET", "/picture"), ("DELETE", "")])
def test_ids_are_never_paths(server: LiveServer, method_and_end: tuple[str, str]) -> None:
    method, end = method_and_end
    for evil in EVIL_IDS:
        assert refused(server, method, f"/v1/images/{evil}{end}") in {
            "invalid_request",
            "not_found",
            "unknown_image",
            "method_not_allowed",
        }


@pytest.mark.parametrize(
    "path",
    [
        "/page/..%2fapp.py",
        "/page/%2e%2e%2fapp.py",
        "/page/../app.py",
        "/page//etc/passwd",
        "/page/app.py%00.js",
        "/page/",
        "/page/page",
        "/.git/config",
        "/v1/images/",
        "//etc/passwd",
        "/docs",
    ],
)
def test_only_page_files_are_served(server: LiveServer, path: str) -> None:
    assert refused(server, "GET", path) == "not_found"


WRONG_SEARCHES: list[Any] = [
    {},
    {"text": ""},
    {"text": "   \n\t"},
    {"text": None},
    {"text": 5},
    {"text": ["red"]},
    {"text": {"red": True}},
    {"text": "x" * 1001},
    {"text": "red", "negative": 7},
    {"text": "red", "negative": "x" * 100_000},
    {"text": "red", "k": 0},
    {"text": "red", "k": -1},
    {"text": "red", "k": 501},
    {"text": "red", "k": 10**9},
    {"text": "red", "k": 10**400},
    {"text": "red", "k": "10"},
    {"text": "red", "k": 1.5},
    {"text": "red", "k": True},
    {"text": "red", "k": None},
    {"text": "red", "k": [10]},
    {"text": "red", "offset": -1},
    {"text": "red", "offset": 10**18},
    {"text": "red", "offset": "0; DROP TABLE images"},
    {"text": "red", "weight": 1.01},
    {"text": "red", "weight": -0.01},
    {"text": "red", "weight": "heavy"},
    {"text": "red", "weight": 10**400},
    {"text": "red", "image_id": "../../etc/passwd"},
    {"text": "red", "image_id": ["x"]},
    {"text": "red", "image_id": [GOOD_ID] * 9},
    {"text": "red", "image_id": GOOD_ID},
    {"text": "red", "image_id": 5},
    {"text": "red", "image_id": {"$ne": None}},
    {"text": "red", "image_id": [[GOOD_ID]]},
    {"text": "red", "image": "http://169.254.169.254/latest/meta-data"},
    {"text": "red", "url": "http://localhost/"},
    {"text": "red", "imageid": GOOD_ID},
    {"text": "red", "__proto__": {}},
    {"text": "red", "filter": "price < 5"},
    {"text": "red", "filter": []},
    {"text": "red", "filter": {"nope": 1}},
    {"text": "red", "filter": {"colour": {"$where": "1"}}},
    {"text": "red", "filter": {"colour' OR '1'='1": "x"}},
    {"text": "red", "filter": {"colour": {"contains": 5}, "price": {"<": "cheap"}}},
    {"text": "red", "filter": {"price": {"<": [1]}}},
    {"text": "red", "filter": {"price": {"<": {"a": 1}}}},
    {"text": "red", "filter": {"price": {"in": list(range(300))}}},
    {"text": "red", "filter": {"price": []}},
    {"text": "red", "filter": {"price": None}},
    {"text": "red", "filter": {"price": 10**400}},
    {"text": "red", "filter": {"price": "1e999"}},
    {"text": "red", "filter": {"price": {"contains": "1"}}},
    {"text": "red", "filter": {"kids": "perhaps"}},
    {"text": "red", "filter": {"season": "2024-13-45"}},
    {"text": "red", "filter": {"season": "0001-01-01T00:00+23:59"}},
    {"text": "red", "filter": {"season": 5}},
    {"text": "red", "filter": {"tags": {"<": "a"}}},
    {"text": "red", "filter": {"tags": {"contains": ["a"]}}},
    {"text": "red", "filter": {"": ""}},
    {"text": "red", "filter": {f"f{n}": 1 for n in range(1000)}},
    {"text": "red", "filter": {"price": {">": 1, "~": 1}}},
    [],
    ["text"],
    "red",
    5,
    None,
    True,
]


@pytest.mark.parametrize("number", range(len(WRONG_SEARCHES)))
def test_wrong_searches(server: LiveServer, number: int) -> None:
    refused(server, "POST", "/v1/search", json.dumps(WRONG_SEARCHES[number]).encode(), "application/json")


BROKEN_JSON = [
    b"",
    b"{",
    b'{"text": "red"',
    b'{"text": red}',
    b"{'text': 'red'}",
    b'{"text": "red"} trailing',
    b'{"text": "red", "weight": NaN}',
    b'{"text": "red", "weight": Infinity}',
    b'{"text": "\\ud800"}',
    b'{"text": "\xff\xfe"}',
    '{"text": "red"}'.encode("utf-16"),
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"text": "' + b"x" * 300_000 + b'"}',
    b"\x00" * 1000,
    b'{"k": ' + b"9" * 10_000 + b"}",
]


@pytest.mark.parametrize("number", range(len(BROKEN_JSON)))
def test_invalid_json(server: LiveServer, number: int) -> None:
    code = refused(server, "POST", "/v1/search", BROKEN_JSON[number], "application/json")
    assert code in {"invalid_json", "too_large", "invalid_request"}


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/html",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "image/png",
        "multipart/mixed; boundary=edge",
        "application/json/../../etc",
        "*/*",
        ",",
        "\x01",
        "application/" + "x" * 5000,
    ],
)
def test_other_content_types(server: LiveServer, content_type: str) -> None:
    for path in ("/v1/search", "/v1/images"):
        assert refused(server, "POST", path, b'{"text": "red"}', content_type) == "unsupported_media_type"


def _png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00" * 1_000_000, 9)) + chunk(b"IEND", b"")


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil.png", b"0" * 1_000_000)
    return buffer.getvalue()


def _large_but_small_in_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (4000, 4000)).save(buffer, "PNG")
    return buffer.getvalue()


BAD_PICTURES = {
    "empty": b"",
    "text": b"not a picture",
    "html": b"<html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file",
    "pdf": b"%PDF-1.7\n1 0 obj\n",
    "zip": _zip(),
    "gzip bomb": zlib.compress(b"\x00" * 1_000_000),
    "png bomb": _png_claiming(60_000, 60_000),
    "png bomb beyond Pillow's limit": _png_claiming(2**31 - 1, 2**31 - 1),
    "png without width": _png_claiming(0, 10),
    "large png": _large_but_small_in_bytes(),
    "cut png": RED[: len(RED) // 2],
    "png header": RED[:30],
    "cut jpeg": picture((1, 2, 3), format="JPEG")[:200],
    "cut webp": picture((1, 2, 3), format="WEBP")[:40],
    "cut gif": picture((1, 2, 3), format="GIF")[:20],
    "tiff loop": b"II*\x00\x08\x00\x00\x00\x01\x00\x00\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00",
    "icon": b"\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00",
    "nul": b"\x00" * 10_000,
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_damaged_images_and_bombs(server: LiveServer, name: str) -> None:
    form, content_type = multipart(("image", "a.png", BAD_PICTURES[name]), ("text", None, b"red"))
    assert refused(server, "POST", "/v1/search", form, content_type) == "bad_image"
    form, content_type = multipart(("image", "good.png", RED), ("image", "a.png", BAD_PICTURES[name]))
    assert refused(server, "POST", "/v1/images", form, content_type) == "bad_image"
    assert not list(server.service.settings.uploads.glob("*"))  # type: ignore[union-attr]


WRONG_FORMS: dict[str, tuple[tuple[str, str | None, bytes], ...]] = {
    "nothing": (),
    "no file": (("image", None, b"/etc/passwd"),),
    "address": (("image", None, b"http://169.254.169.254/latest/meta-data"),),
    "text as a file": (("text", "text.txt", b"red"),),
    "text twice": (("text", None, b"red"), ("text", None, b"blue")),
    "k is a word": (("text", None, b"red"), ("k", None, b"many")),
    "k is huge": (("text", None, b"red"), ("k", None, b"9" * 5000)),
    "k is negative": (("text", None, b"red"), ("k", None, b"-3")),
    "weight is nan": (("text", None, b"red"), ("weight", None, b"nan")),
    "weight is inf": (("text", None, b"red"), ("weight", None, b"inf")),
    "filter is no json": (("text", None, b"red"), ("filter", None, b"price<5")),
    "filter is a list": (("text", None, b"red"), ("filter", None, b"[]")),
    "filter is deep": (("text", None, b"red"), ("filter", None, b'{"a":' * 3000)),
    "filter on nothing": (("text", None, b"red"), ("filter", None, b'{"nope": 1}')),
    "unknown field": (("text", None, b"red"), ("admin", None, b"true")),
    "id is a path": (("image_id", None, b"../../etc/passwd"),),
    "unknown id": (("image_id", None, GOOD_ID.encode()),),
    "too many ids": tuple(("image_id", None, f"{n:064x}".encode()) for n in range(9)),
    "too many files": tuple(("image", f"{n}.png", RED) for n in range(17)),
    "too many references": tuple(("image", f"{n}.png", RED) for n in range(9)),
    "too many fields": tuple((f"f{n}", None, b"") for n in range(100)),
    "long text": (("text", None, b"x" * 300_000),),
    "nameless": (("", None, b"red"),),
    "file elsewhere": (("text", None, b"red"), ("picture", "a.png", RED)),
}


@pytest.mark.parametrize("name", WRONG_FORMS)
def test_wrong_forms(server: LiveServer, name: str) -> None:
    form, content_type = multipart(*WRONG_FORMS[name])
    refused(server, "POST", "/v1/search", form, content_type)


WRONG_METADATA = [
    b"not json",
    b"[]",
    b'"red"',
    b'{"path": "/etc/passwd"}',
    b'{"price": "cheap"}',
    b'{"price": 1e999}',
    b'{"new": {"nested": 1}}',
    b'{"new": [[1]]}',
    b'{"tags": ["a\\u001fb"]}',
    b'{"": "nameless"}',
    b'{"line\\nbreak": 1}',
    json.dumps({"x" * 101: 1}).encode(),
    json.dumps({f"f{n}": n for n in range(40)}).encode(),
]


@pytest.mark.parametrize("number", range(len(WRONG_METADATA)))
def test_wrong_metadata_adds_nothing(server: LiveServer, number: int) -> None:
    before = server.request("GET", "/v1/images?limit=1").json()["total"]
    form, content_type = multipart(("image", "a.png", picture((9, 9, 9))), ("metadata", None, WRONG_METADATA[number]))
    refused(server, "POST", "/v1/images", form, content_type)
    assert server.request("GET", "/v1/images?limit=1").json()["total"] == before


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "offset=-1",
        "offset=1e9",
        "limit=",
        "filter={",
        "filter=[]",
        "filter={%22a%22:1}",
    ]
    + ["filter=" + "%7B%22a%22:" * 200, "offset=99999999999999999999", "filter=%00"],
)
def test_wrong_listings(server: LiveServer, query: str) -> None:
    refused(server, "GET", f"/v1/images?{query}")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS", "CONNECT", "HEAD", "DELETE", "GETS", "get"])
def test_other_methods(server: LiveServer, method: str) -> None:
    response = server.request(method, "/v1/search")
    assert response.status == 405
    if method != "HEAD":
        assert response.json()["error"]["code"] == "method_not_allowed"
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "evil.example@127.0.0.1"},
        {"Host": "[::1"},
        {"Host": "10.0.0.1"},
        {"Host": ""},
        {"Host": "127.0.0.1:99999999"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
    ids=str,
)
def test_cross_site_requests(server: LiveServer, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/v1/images"), ("POST", "/v1/search"), ("DELETE", f"/v1/images/{GOOD_ID}")):
        response = server.request(method, path, b'{"text": "red"}', {"Content-Type": "application/json"} | headers)
        assert response.json()["error"]["code"] in {"wrong_host", "cross_site"}
        assert "access-control-allow-origin" not in response.headers


HALF_SENT = {
    "cut in the header": b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le",
    "cut in the body": b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 5000\r\n\r\n{"text": "re',
    "cut in the picture": b"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000\r\n\r\n"
    b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + RED,
    "cut in a chunk": b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n400\r\n{",
}


@pytest.mark.parametrize("name", HALF_SENT)
def test_disconnected_clients(server: LiveServer, name: str) -> None:
    server.raw(HALF_SENT[name], leave=True)


def test_stalled_clients_time_out(tmp_path: Path) -> None:
    with LiveServer(Service(filled_gallery(), ServerSettings(seconds=0.3, uploads=tmp_path))) as impatient:
        for name in HALF_SENT.keys() - {"cut in the header"}:
            response = impatient.raw(HALF_SENT[name])
            assert response.startswith(b"HTTP/1.1 408 ") and b'"too_slow"' in response


def test_truncated_forms_add_nothing(server: LiveServer) -> None:
    form, content_type = multipart(("text", None, b"red"), ("negative", None, b"blue"))
    for end in (len(form) - 4, len(form) - 20, form.index(b"blue") + 2, form.index(b"negative")):
        code = refused(server, "POST", "/v1/search", form[:end], content_type)
        assert code in {"incomplete_form", "bad_request"}


MALFORMED = {
    "not http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "negative length": b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
    "length of words": b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: five\r\n\r\n",
    "two lengths": b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "bad chunk": b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
    "huge header": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 40_000,
    "nul in the path": b"GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "split": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\rSet-Cookie: b\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http(server: LiveServer, name: str) -> None:
    response = server.raw(MALFORMED[name])
    assert response.startswith(b"HTTP/1.1 4"), response[:200]


def test_large_bodies_are_not_read(server: LiveServer) -> None:
    head = b"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    declared = server.raw(head + b"Content-Length: 99999999999\r\n\r\n")
    assert declared.startswith(b"HTTP/1.1 413 ") and b'"too_large"' in declared
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    undeclared = server.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + 32 * chunk)
    assert undeclared.startswith(b"HTTP/1.1 4")


def test_number_of_hostile_requests() -> None:
    assert 4 * len(EVIL_IDS) + len(WRONG_SEARCHES) + len(BROKEN_JSON) + 2 * len(BAD_PICTURES) + len(WRONG_FORMS) > 200


def test_file_names_of_clients_are_not_used(server: LiveServer, tmp_path: Path) -> None:
    outside = tmp_path / "evil.png"
    uploads = server.service.settings.uploads
    assert uploads is not None
    for number, name in enumerate((f"../../../..{outside}", str(outside), "..\\evil.png", "a\x00.png", "<b>.png", "")):
        form, content_type = multipart(("image", name, picture((number, 77, 0))))
        response = server.request("POST", "/v1/images", form, {"Content-Type": content_type})
        assert response.status == 201, response.content
        (image,) = response.json()["images"]
        assert Path(image["path"]) == uploads.absolute() / f"{image['id']}.png"
    assert not outside.exists()
