"""Adding and deleting over HTTP, in a gallery on disk."""

import json
import threading
from pathlib import Path

from helpers.fake_retriever import FakeRetriever
from helpers.live_server import LiveServer, Response
from helpers.server_samples import COLOURS, empty_gallery, multipart, noise, picture
from likebut.gallery.gallery import Gallery
from likebut.gallery.images import content_id
from likebut.server.service import Service
from likebut.server.settings import ServerSettings


def serving(folder: Path) -> LiveServer:
    return LiveServer(Service(empty_gallery(folder / "gallery"), ServerSettings(uploads=folder / "uploads")))


def add(server: LiveServer, *contents: bytes, metadata: dict[str, object] | None = None) -> Response:
    parts = [("image", "a.png", content) for content in contents]
    extra = [("metadata", None, json.dumps(metadata).encode())] if metadata is not None else []
    form, content_type = multipart(*parts, *extra)
    return server.request("POST", "/v1/images", form, {"Content-Type": content_type})


def test_added_images_are_found_and_durable(tmp_path: Path) -> None:
    red, blue = picture(COLOURS["red"]), picture(COLOURS["blue"], format="JPEG")
    with serving(tmp_path) as server:
        assert server.post_json("/v1/search", {"text": "red"}).json()["hits"] == []
        response = add(server, red, blue, red, metadata={"price": 3, "tags": ["x"]}).json()
        assert [image["id"] for image in response["images"]] == [content_id(each) for each in (red, blue, red)]
        assert response["added"] == 2
        assert response["images"][1]["metadata"]["price"] == 3
        assert add(server, blue).json()["added"] == 0
        found = server.post_json("/v1/search", {"text": "blue", "filter": {"price": {"<": 5}}}).json()["hits"]
        assert [hit["id"] for hit in found] == [content_id(blue), content_id(red)]
        fields = server.request("GET", "/v1/galleries").json()["galleries"][0]["fields"]
        assert {"price", "tags"} <= {field["name"] for field in fields}
    assert {path.name for path in (tmp_path / "uploads").iterdir()} == {
        f"{content_id(red)}.png",
        f"{content_id(blue)}.jpg",
    }
    again = Gallery.open(tmp_path / "gallery", FakeRetriever(), create=False)
    assert len(again) == 2 and again.load_image(content_id(blue)).size == (48, 64)


def test_delete_removes_an_uploaded_file(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        (image,) = add(server, picture((7, 8, 9))).json()["images"]
        assert Path(image["path"]).is_file()
        assert server.request("DELETE", f"/v1/images/{image['id']}").status == 204
        assert not Path(image["path"]).exists()
        assert server.request("GET", f"/v1/images/{image['id']}").status == 404
        assert add(server, picture((7, 8, 9))).json()["added"] == 1


def test_thumbnail_of_a_missing_file_is_not_cached(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        (image,) = add(server, picture((7, 8, 9))).json()["images"]
        address, file = f"/v1/images/{image['id']}/picture", Path(image["path"])
        kept = file.rename(tmp_path / "away.png")
        for content in (None, picture((1, 1, 1))):
            if content is not None:
                file.write_bytes(content)
            instead = server.request("GET", address)
            assert instead.status == 200 and instead.headers["cache-control"] == "no-store"
        kept.rename(file)
        assert "immutable" in server.request("GET", address).headers["cache-control"]


def test_delete_keeps_an_indexed_file(tmp_path: Path) -> None:
    file = tmp_path / "pictures" / "red.png"
    file.parent.mkdir()
    file.write_bytes(picture(COLOURS["red"]))
    with serving(tmp_path) as server:
        server.service.gallery.add(file)
        assert server.request("DELETE", f"/v1/images/{content_id(file.read_bytes())}").status == 204
        assert file.is_file() and len(server.service.gallery) == 0


def test_concurrent_additions(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        responses: list[Response] = []
        clients = [
            threading.Thread(target=lambda n=n: responses.append(add(server, noise(n), noise(n // 2))))
            for n in range(12)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert [response.status for response in responses] == [201] * 12
        assert len(server.service.gallery) == 12


def test_concurrent_reads_and_writes(tmp_path: Path) -> None:
    """Eight readers see no error, and no image whose deletion was answered before they asked."""
    deleted: set[str] = set()
    failures: list[str] = []
    done = threading.Event()

    def read(server: LiveServer, seed: int) -> None:
        while not done.is_set():
            gone = set(deleted)
            response = server.post_json("/v1/search", {"text": ("red", "green", "blue")[seed % 3], "k": 20})
            if response.status != 200:
                failures.append(f"{response.status} {response.content!r}")
            elif shown := gone & {hit["id"] for hit in response.json()["hits"]}:
                failures.append(f"deleted images were found: {shown}")

    with serving(tmp_path) as server:
        readers = [threading.Thread(target=read, args=(server, seed)) for seed in range(8)]
        for reader in readers:
            reader.start()
        for number in range(12):
            first, second = add(server, noise(2 * number), noise(2 * number + 1)).json()["images"]
            assert server.request("DELETE", f"/v1/images/{first['id']}").status == 204
            deleted.add(first["id"])
        done.set()
        for reader in readers:
            reader.join()
        assert not failures
        assert len(server.service.gallery) == 12
