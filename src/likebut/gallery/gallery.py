"""The public interface: a collection of images that can be searched by composed queries."""

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from PIL import Image

from likebut.data.images import as_source
from likebut.errors import InputError
from likebut.files import normal_path
from likebut.gallery.fields import BUILT_IN_FIELDS, Field, infer_and_type
from likebut.gallery.filters import parse_filter
from likebut.gallery.identity import Embedder, GalleryIdentity, require_same
from likebut.gallery.indexing import Indexer, collect_files, remove_missing_files
from likebut.gallery.maintenance import BackgroundTask
from likebut.gallery.metadata import metadata_for
from likebut.gallery.queries import QueryWeights, embed_query, load_references, load_stored_image, unknown_image
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
from likebut.gallery.store import GalleryStore, StoredImage, StoreHealth
from likebut.progress import track


class Gallery:
    """Images that can be searched, with the retriever that embeds them.

    Any number of threads and processes may search while one adds images.

    Args:
        store: Stores the images.
        retriever: Embeds images and queries.
        name: Name of the gallery in messages.

    Raises:
        InputError: The store was filled with another retriever.
    """

    def __init__(self, store: GalleryStore, retriever: Embedder, name: str = "in memory") -> None:
        require_same(store.identity, GalleryIdentity.of(retriever), name)
        self.store, self.retriever, self.name = store, retriever, name
        self._optimising = BackgroundTask(store.optimise)

    @classmethod
    def open(cls, path: Path | str, retriever: Embedder, create: bool = True) -> "Gallery":
        """Open the gallery at a path.

        Args:
            path: A folder, or an object-store URI such as ``s3://bucket/gallery``.
            retriever: Embeds images and queries.
            create: Whether to create the gallery if it does not exist.

        Raises:
            InputError: The gallery was made with another retriever, or does not exist and ``create`` is false.
        """
        from likebut.gallery.lance_store import LanceStore

        store = LanceStore(path, GalleryIdentity.of(retriever) if create else None)
        return cls(store, retriever, str(path))

    def __enter__(self) -> Self:
        """Return the gallery."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the gallery."""
        self.close()

    def close(self) -> None:
        """Wait for background work."""
        self._optimising.wait()

    def __len__(self) -> int:
        """Return the number of images."""
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
        """Add image files. Files that are already in the gallery and unchanged are not read again.

        Everything that the report counts is durable. After a kill, the same call resumes.

        Args:
            paths: Files, and folders whose images are added recursively.
            metadata: A CSV or JSONL file with one line per image, or one set of fields for all files. If None, a file
                with one of the usual names in or next to a folder is used, if there is one.
            progress: Whether to show a progress bar.

        Raises:
            InputError: A path does not exist, or the metadata is invalid; nothing was added.
        """
        given = [Path(each) for each in ([paths] if isinstance(paths, str | Path) else paths)]
        found, unlisted = collect_files(given)
        table = None if isinstance(metadata, Mapping) else metadata_for(given, metadata)
        if isinstance(metadata, Mapping):
            infer_and_type(metadata, self.store.fields(), "The metadata")  # raises before anything is added
        with track("indexing", len(found), "images", show_progress=True) if progress else nullcontext() as meter:
            report = Indexer(self.store, self.retriever, table, meter).run(found)
        if isinstance(metadata, Mapping):
            for image_id in dict.fromkeys(report.ids):
                self.set_metadata(image_id, metadata)
        return replace(report, skipped=(*unlisted, *report.skipped))

    def synchronise(self, folder: Path | str, metadata: Path | str | None = None, progress: bool = False) -> AddReport:
        """Make the gallery reflect a folder: add new and changed images, remove those whose files no longer exist.

        Images from elsewhere are kept, and so are those in folders that cannot be listed, which the report lists as
        skipped. A folder without images is an error, because its disk may not be mounted.

        Raises:
            InputError: The folder does not exist or has no images, or the metadata is invalid.
        """
        root = normal_path(folder)
        report = self.add(root, metadata, progress)
        removed, unlisted = remove_missing_files(self.store, root)
        return replace(report, removed=removed, skipped=tuple(dict.fromkeys((*report.skipped, *unlisted))))

    def delete(self, image_ids: str | Iterable[str]) -> int:
        """Delete images and return how many existed. Adding their files again restores them."""
        return self.store.delete([image_ids] if isinstance(image_ids, str) else image_ids)

    def set_metadata(self, image_id: str, values: Mapping[str, Any]) -> StoredImage:
        """Set some of an image's metadata fields and return the image. None clears a field; new fields are created.

        Raises:
            UnknownImageError: The image does not exist.
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
        """Return what is stored of an image.

        Raises:
            UnknownImageError: The image does not exist.
        """
        found = self.store.get([image_id])
        if image_id not in found:
            raise unknown_image(image_id)
        return found[image_id]

    def thumbnail(self, image_id: str) -> bytes:
        """Return the JPEG thumbnail of an image.

        Raises:
            UnknownImageError: The image does not exist.
        """
        content = self.store.thumbnail(image_id)
        if content is None:
            raise unknown_image(image_id)
        return content

    def load_image(self, image_id: str) -> Image.Image:
        """Return an image as RGB: from its file if that is unchanged, else its thumbnail.

        Raises:
            UnknownImageError: The image does not exist.
        """
        return load_stored_image(self.store, self.image(image_id))

    def images(self, limit: int = 100, offset: int = 0, filters: Mapping[str, Any] | None = None) -> list[StoredImage]:
        """Return a page of the images, least recently added or changed first.

        Raises:
            InputError: A filter is invalid, or a number is out of range.
        """
        if limit < 1 or offset < 0:
            problem = f"limit is {limit} and offset {offset}."
            raise InputError(problem, "limit is at least 1 and offset at least 0.", code="invalid-request")
        return self.store.page(limit, offset, parse_filter(filters or {}, self.fields()))

    def count(self, filters: Mapping[str, Any] | None = None) -> int:
        """Return how many images satisfy the filters.

        Raises:
            InputError: A filter is invalid.
        """
        return self.store.count(parse_filter(filters or {}, self.fields()))

    def fields(self) -> tuple[Field, ...]:
        """Return the fields that filters may use: the built-in ones, then the user's own."""
        return (*BUILT_IN_FIELDS, *self.store.fields())

    def optimise(self, in_background: bool = False) -> None:
        """Update the index and compact the storage. Searches and additions may run concurrently.

        Args:
            in_background: Whether to return at once; :meth:`close` waits. Does nothing if it is already running.
        """
        if in_background:
            self._optimising.start()
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
        """Find images like ``image``, changed as ``text`` says. Either may be omitted.

        Args:
            image: One or several reference images: files, file content, or decoded images.
            text: Modification text; without a reference image, a description.
            k: Number of hits.
            image_id: One or several reference images that are in the gallery.
            negative: Description of what the results should not show, such as "striped".
            weight: 0 uses the text alone, 0.5 the composed query, 1 the images alone.
            filters: Conditions on metadata: ``{"price": {"<": 50}, "colour": ["red", "blue"]}``.
            offset: Number of hits to skip.
            keep_references: Whether a reference image may be among the hits.
            group_duplicates: Whether near-duplicates share one hit.
            exact: Whether to compare with every image even if there is an index.

        Raises:
            InputError: There is neither an image nor a text, or an argument is invalid.
            UnknownImageError: An ``image_id`` is not in the gallery.
        """
        request = SearchRequest(
            images=tuple(as_source(each) for each in _as_list(image)),
            image_ids=tuple(_as_list(image_id)),
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
        """Run a search request and return hits and timings.

        Raises:
            InputError: A reference image or a filter is invalid.
            UnknownImageError: A reference image is not in the gallery.
        """
        conditions = parse_filter(request.filters, self.fields())
        started = time.perf_counter()
        text, negative = request.text.strip(), request.negative.strip()
        weights = QueryWeights.of(bool(request.images or request.image_ids), bool(text), request.weight)
        references, reference_ids = load_references(self.store, request.images, request.image_ids, weights)
        decoded = time.perf_counter()
        query = embed_query(self.retriever, references, text, negative, weights)
        used = {"text": text if weights.uses_text else "", "negative": negative}
        truncated = tuple(name for name, each in used.items() if each and self.retriever.is_truncated(each))
        encoded = time.perf_counter()
        page = search_page(
            self.store,
            query,
            request.k,
            request.offset,
            conditions,
            set() if request.keep_references else reference_ids,
            request.group_duplicates,
            request.exact,
        )
        timings = Timings(decoded - started, encoded - decoded, page.search_seconds, page.rescore_seconds)
        return SearchResult(page.hits, timings, page.more, truncated)

    def contact_sheet(self, hits: Sequence[Hit], title: str) -> str:
        """Return hits as a self-contained HTML page with thumbnails; all text is escaped."""
        from jinja2 import Environment, StrictUndefined

        environment = Environment(autoescape=True, undefined=StrictUndefined)
        template = environment.from_string((files("likebut.gallery") / "contact_sheet.html").read_text("utf-8"))
        shown = [{**hit.to_json(), "thumbnail": base64.b64encode(self.thumbnail(hit.id)).decode()} for hit in hits]
        return template.render(title=title, hits=shown)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
