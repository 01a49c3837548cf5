"""The gallery as people use it: pictures in, "like this, but…" out."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from PIL import Image

from likebut.data.images import SkippedImage, as_source, images_below
from likebut.errors import InputError
from likebut.files import normal_path
from likebut.gallery.fields import BUILT_IN_FIELDS, Field, infer_and_type
from likebut.gallery.filters import parse_filter
from likebut.gallery.identity import Embedder, GalleryIdentity, require_same
from likebut.gallery.indexing import Indexer
from likebut.gallery.maintenance import Tidying
from likebut.gallery.metadata import MetadataFile, find_metadata, read_metadata
from likebut.gallery.queries import QueryWeights, embed_query, load_references, picture_of, unknown_image
from likebut.gallery.requests import (
    BALANCED,
    AddReport,
    Hit,
    ImageSource,
    SearchRequest,
    SearchResult,
    Timings,
)
from likebut.gallery.search import search_page
from likebut.gallery.store import GalleryStore, StoredImage, StoreHealth, forget_missing
from likebut.progress import track


class Gallery:
    """Pictures that can be searched, with the retriever that embedded them.

    Any number of threads and processes may search while one adds.

    Args:
        store: Where the pictures are kept.
        retriever: Embeds pictures and queries.
        name: What messages call the gallery.

    Raises:
        InputError: The store was filled with another retriever.
    """

    def __init__(self, store: GalleryStore, retriever: Embedder, name: str = "in memory") -> None:
        require_same(store.identity, GalleryIdentity.of(retriever), name)
        self.store, self.retriever, self.name = store, retriever, name
        self._tidying = Tidying(store.optimise)

    @classmethod
    def open(cls, path: Path | str, retriever: Embedder, create: bool = True) -> "Gallery":
        """Return the gallery at a path, made if it is not there yet.

        Args:
            path: A folder, or an object-store URI such as ``s3://bucket/pictures``.
            retriever: Embeds pictures and queries.
            create: Whether to make a gallery that is not there.

        Raises:
            InputError: The gallery was made with another retriever, or there is none and ``create`` is false.
        """
        from likebut.gallery.lance_store import LanceStore

        store = LanceStore(path, GalleryIdentity.of(retriever) if create else None)
        return cls(store, retriever, str(path))

    def __enter__(self) -> Self:
        """Return the gallery."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for work in the background."""
        self.close()

    def close(self) -> None:
        """Wait for work in the background."""
        self._tidying.wait()

    def __len__(self) -> int:
        """Return how many images there are."""
        return self.store.count()

    def __contains__(self, image_id: str) -> bool:
        """Return whether there is an image with this id."""
        return bool(self.store.get([image_id]))

    def add(
        self,
        paths: Path | str | Iterable[Path | str],
        metadata: Path | str | Mapping[str, Any] | None = None,
        progress: bool = False,
    ) -> AddReport:
        """Add picture files; what is there already, unchanged, costs next to nothing.

        When it returns, everything it reports is durable. After a kill, the same call goes on where it stopped.

        Args:
            paths: Files, and folders whose pictures are all meant.
            metadata: A CSV or JSONL file; or one set of fields for all the files; if none, the file that lies in or
                beside a folder under one of the usual names.
            progress: Whether to show a bar.

        Raises:
            InputError: There is no such file or folder, or the metadata is wrong; then nothing was added.
        """
        given = [Path(each) for each in ([paths] if isinstance(paths, str | Path) else paths)]
        files, unlisted = picture_files(given)
        table = None if isinstance(metadata, Mapping) else metadata_for(given, metadata)
        if isinstance(metadata, Mapping):
            infer_and_type(metadata, self.store.fields(), "The metadata")  # said before anything is added
        with track("indexing", len(files), "images", show_progress=True) if progress else nullcontext() as meter:
            report = Indexer(self.store, self.retriever, table, meter).run(files)
        if isinstance(metadata, Mapping):
            for image_id in dict.fromkeys(report.ids):
                self.set_metadata(image_id, metadata)
        return replace(report, skipped=(*unlisted, *report.skipped))

    def synchronise(self, folder: Path | str, metadata: Path | str | None = None, progress: bool = False) -> AddReport:
        """Make the gallery hold just what a folder holds: add what is new, remove what is gone from it.

        Pictures from elsewhere stay, and those in a folder that cannot be listed, which the report sets aside. A folder
        without any picture is refused: it may be a disk that is not there.

        Raises:
            InputError: There is no such folder, or no picture in it, or the metadata is wrong.
        """
        root = normal_path(folder)
        report = self.add(root, metadata, progress)
        removed, unlisted = forget_missing(self.store, root)
        return replace(report, removed=removed, skipped=tuple(dict.fromkeys((*report.skipped, *unlisted))))

    def delete(self, image_ids: str | Iterable[str]) -> int:
        """Remove images from the gallery (a later :meth:`add` of their files brings them back); return how many."""
        return self.store.delete([image_ids] if isinstance(image_ids, str) else image_ids)

    def set_metadata(self, image_id: str, values: Mapping[str, Any]) -> StoredImage:
        """Set some of an image's metadata; None takes a field's value away. Fields that are new are made.

        Raises:
            UnknownImageError: There is no such image.
            InputError: A value does not fit its field.
        """
        image = self.image(image_id)
        new, row = infer_and_type(values, self.store.fields(), f"Image {image_id[:12]}")
        self.store.add_fields(new)
        kept = {name: value for name, value in image.metadata.items() if name not in values}
        changed = replace(image, metadata=kept | row)
        self.store.update([changed])
        return changed

    def image(self, image_id: str) -> StoredImage:
        """Return what is kept of an image.

        Raises:
            UnknownImageError: There is no such image.
        """
        found = self.store.get([image_id])
        if image_id not in found:
            raise unknown_image(image_id)
        return found[image_id]

    def thumbnail(self, image_id: str) -> bytes:
        """Return an image's thumbnail as JPEG.

        Raises:
            UnknownImageError: There is no such image.
        """
        content = self.store.thumbnail(image_id)
        if content is None:
            raise unknown_image(image_id)
        return content

    def picture(self, image_id: str) -> Image.Image:
        """Return an image as RGB: from its file if that is unchanged, else its thumbnail.

        Raises:
            UnknownImageError: There is no such image.
        """
        return picture_of(self.store, self.image(image_id))

    def images(self, limit: int = 100, offset: int = 0, filters: Mapping[str, Any] | None = None) -> list[StoredImage]:
        """Return some images, those added or changed first coming first.

        Raises:
            InputError: A filter or a number is wrong.
        """
        if limit < 1 or offset < 0:
            raise InputError(f"limit is {limit}, offset {offset}; they start at 1 and 0.", "Change them.")
        return self.store.page(limit, offset, parse_filter(filters or {}, self.fields()))

    def count(self, filters: Mapping[str, Any] | None = None) -> int:
        """Return how many images satisfy the filters.

        Raises:
            InputError: A filter is wrong.
        """
        return self.store.count(parse_filter(filters or {}, self.fields()))

    def fields(self) -> tuple[Field, ...]:
        """Return the fields that can be filtered on: those of every image, then the user's own."""
        return (*BUILT_IN_FIELDS, *self.store.fields())

    def optimise(self, in_background: bool = False) -> None:
        """Bring the index up to date and tidy the storage. Searches and additions may go on meanwhile.

        Args:
            in_background: Return at once; :meth:`close` waits for the end. Does nothing while it is going on already.
        """
        if in_background:
            self._tidying.start()
        else:
            self.store.optimise()

    def health(self) -> StoreHealth:
        """Return the state of the store."""
        return self.store.health()

    def search(
        self,
        image: ImageSource | str | Sequence[ImageSource | str] | None = None,
        text: str = "",
        k: int = 10,
        *,
        image_id: str | Sequence[str] | None = None,
        negative: str = "",
        weight: float = BALANCED,
        filters: Mapping[str, Any] | None = None,
        offset: int = 0,
        keep_references: bool = False,
        group_duplicates: bool = True,
        exact: bool = False,
    ) -> list[Hit]:
        """Find pictures like ``image`` but as ``text`` says; either may be left out.

        Args:
            image: One or several reference images: files, their content, or decoded RGB.
            text: What should be different; alone, a description.
            k: How many hits.
            image_id: One or several reference images that are in the gallery.
            negative: What the results should not be: "striped".
            weight: 0 heeds the text alone, 1 the images alone; 0.5 is the composed query.
            filters: Conditions on metadata: ``{"price": {"<": 50}, "colour": ["red", "blue"]}``.
            offset: How many hits to pass over.
            keep_references: Whether a reference image may be among the hits.
            group_duplicates: Whether pictures that look the same share one hit.
            exact: Whether to compare with every image even where there is an index.

        Raises:
            InputError: There is neither image nor text, or something is wrong with what there is.
            UnknownImageError: An ``image_id`` is not in the gallery.
        """
        request = SearchRequest(
            images=tuple(as_source(each) for each in listed(image)),
            image_ids=tuple(listed(image_id)),
            text=text,
            negative=negative,
            weight=weight,
            k=k,
            offset=offset,
            filters=filters or {},
            keep_references=keep_references,
            group_duplicates=group_duplicates,
            exact=exact,
        )
        return list(self.find(request).hits)

    def find(self, request: SearchRequest) -> SearchResult:
        """Answer a search, and say how long each stage took.

        Raises:
            InputError: A reference image or a filter is wrong.
            UnknownImageError: A reference is not in the gallery.
        """
        conditions = parse_filter(request.filters, self.fields())
        started = time.perf_counter()
        text, negative = request.text.strip(), request.negative.strip()
        shares = QueryWeights.of(bool(request.images or request.image_ids), bool(text), request.weight)
        references, left_out = load_references(self.store, request.images, request.image_ids, shares)
        decoded = time.perf_counter()
        query = embed_query(self.retriever, references, text, negative, shares)
        encoded = time.perf_counter()
        page = search_page(
            self.store,
            query,
            request.k,
            request.offset,
            conditions,
            set() if request.keep_references else left_out,
            request.group_duplicates,
            request.exact,
        )
        timings = Timings(decoded - started, encoded - decoded, page.search_seconds, page.rescore_seconds)
        return SearchResult(page.hits, timings, page.more)


def picture_files(paths: Sequence[Path]) -> tuple[list[Path], list[SkippedImage]]:
    """Return the files, and the picture files below the folders, that ``paths`` name; and folders not to be listed.

    Raises:
        InputError: There is no such file, or a folder holds no picture.
    """
    files: list[Path] = []
    unlisted: list[SkippedImage] = []
    for path in paths:
        if path.is_dir():
            images, unlisted_below = images_below(path)
            files += [image.path for image in images]
            unlisted += unlisted_below
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"There is no file or folder {path}.", "Check the path.")
    return files, unlisted


def metadata_for(paths: Sequence[Path], named: Path | str | None) -> MetadataFile | None:
    """Return the metadata file for what is added.

    Args:
        paths: What is added; a folder among them is what the file's names are relative to.
        named: The file, if it was named; else one that lies in or beside the first folder is taken, if there is one.

    Raises:
        InputError: The file is missing or a line is wrong.
    """
    folder = next((path for path in paths if path.is_dir()), None)
    if named is not None:
        return read_metadata(Path(named), folder or Path(named).parent)
    if folder is None:
        return None
    found = find_metadata(normal_path(folder))
    return read_metadata(found, folder) if found else None


def listed(value: Any) -> list[Any]:
    """Return one thing, several, or none as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
