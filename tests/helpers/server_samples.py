"""Images and galleries for the server's tests."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.fake_retriever import FakeRetriever
from likebut.gallery.fields import Field, FieldType
from likebut.gallery.gallery import Gallery
from likebut.gallery.identity import Embedder, GalleryIdentity
from likebut.gallery.images import read_image
from likebut.gallery.memory_store import MemoryStore
from likebut.gallery.store import NewImage, StoredImage

COLOURS = {
    "red": (250, 10, 10),
    "green": (10, 250, 10),
    "blue": (10, 10, 250),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
    "yellow": (250, 250, 10),
    "purple": (150, 10, 150),
    "orange": (250, 150, 10),
}
FIELDS = (
    Field("colour", FieldType.TEXT),
    Field("price", FieldType.NUMBER),
    Field("kids", FieldType.BOOLEAN),
    Field("season", FieldType.DATE),
    Field("tags", FieldType.LABELS),
)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (48, 64), format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format)
    return buffer.getvalue()


def noise(seed: int) -> bytes:
    """An image that is unique to the seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((48, 48), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def stored(content: bytes, retriever: Embedder, path: str, metadata: dict[str, Any] | None = None) -> NewImage:
    read = read_image(content)
    image = StoredImage(
        id=read.id,
        path=path,
        file_bytes=read.file_bytes,
        width=read.width,
        height=read.height,
        signature=read.signature,
        metadata=metadata or {},
    )
    return NewImage(image, retriever.embed_images([read.image])[0].astype(np.float16), read.thumbnail)


def filled_gallery(retriever: Embedder | None = None) -> Gallery:
    """Eight images of one colour each, in memory, with metadata of every type."""
    retriever = retriever or FakeRetriever()
    store = MemoryStore(GalleryIdentity.of(retriever))
    store.add_fields(FIELDS)
    for number, (name, colour) in enumerate(COLOURS.items()):
        metadata = {"colour": name, "price": 10.0 + number, "kids": number % 2 == 0, "tags": ("plain", name)}
        store.put([stored(picture(colour), retriever, f"/pictures/{name}.png", metadata)])
    return Gallery(store, retriever, "colours")


def empty_gallery(folder: Path) -> Gallery:
    return Gallery.open(folder, FakeRetriever())


def multipart(*parts: tuple[str, str | None, bytes], boundary: str = "edge", close: bool = True) -> tuple[bytes, str]:
    """Return a form's body and content type; a part is a name, a file name if it is a file, and its content."""
    body = b""
    for name, file_name, content in parts:
        file = "" if file_name is None else f'; filename="{file_name}"'
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"
        )
    return body + (f"--{boundary}--\r\n".encode() if close else b""), f"multipart/form-data; boundary={boundary}"
