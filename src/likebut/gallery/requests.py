"""What is asked of a gallery and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

from PIL import Image

from likebut.data.images import SkippedImage
from likebut.errors import InputError
from likebut.gallery.fields import Metadata, json_value, require_utf8

ImageSource = Path | bytes | Image.Image
BALANCED = 0.5
_MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A search: "like these images, but as the text says".

    Attributes:
        images: Reference images that need not be in the gallery: files, their content, or decoded RGB.
        image_ids: Reference images that are in the gallery.
        text: Modification text; alone, a description.
        negative: What the results should not be: "striped".
        weight: 0 heeds the text alone, 1 the images alone; 0.5 is the composed query. Only heeded with both.
        k: How many hits.
        offset: How many hits to pass over.
        filters: Conditions on metadata, as :func:`likebut.gallery.filters.parse_filter` takes them.
        keep_references: Whether a reference image may be among the hits.
        group_duplicates: Whether pictures that look the same share one hit.
        exact: Whether to compare with every image even where there is an index.
    """

    images: tuple[ImageSource, ...] = ()
    image_ids: tuple[str, ...] = ()
    text: str = ""
    negative: str = ""
    weight: float = BALANCED
    k: int = 10
    offset: int = 0
    filters: Mapping[str, Any] = field(default_factory=dict)
    keep_references: bool = False
    group_duplicates: bool = True
    exact: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be answered.

        Raises:
            InputError: There is neither image nor text, something is of another type, or a number is out of range.
        """
        for name in ("text", "negative"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name} is {getattr(self, name)!r}, not a text.", 'Give a text, or "" for none.')
            _require_utf8(name, getattr(self, name))
        for image_id in self.image_ids:
            if not isinstance(image_id, str):
                raise InputError("An image_id is not a text.", "Give the id of an image: hit.id.")
            _require_utf8("An image_id", image_id)
        for name in ("k", "offset"):
            if not isinstance(getattr(self, name), Integral) or getattr(self, name) > _MOST:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}, not a whole number up to {_MOST}.", f"Change {name}."
                )
        if not (self.images or self.image_ids or self.text.strip()):
            raise InputError("The search has neither an image nor a text.", "Give an image, a text, or both.")
        if not 0 <= self.weight <= 1:
            raise InputError(f"The weight is {self.weight}, not between 0 and 1.", "0 is text alone, 1 image alone.")
        if self.k < 1 or self.offset < 0:
            raise InputError(
                f"k is {self.k} and offset {self.offset}, but k starts at 1 and offset at 0.", "Change them."
            )


def _require_utf8(name: str, text: str) -> None:
    try:
        require_utf8(text)
    except UnicodeEncodeError:
        raise InputError(f"{name} is {text!r}, which is not UTF-8.", "Write it anew, in UTF-8.") from None


@dataclass(frozen=True, slots=True)
class Hit:
    """An image that was found.

    Attributes:
        id: SHA-256 of the file's content.
        path: Where the file lay when it was last seen.
        score: Similarity with the query, in -1…1: the largest cosine over the image's N target embeddings.
        metadata: Every field that has a value: width, height, bytes, taken, and the user's own.
        duplicates: Ids of further images that show the same picture.
    """

    id: str
    path: str
    score: float
    metadata: Metadata = field(default_factory=dict)
    duplicates: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the hit as a JSON object."""
        return {
            "id": self.id,
            "path": self.path,
            "score": round(self.score, 6),
            "metadata": {name: json_value(value) for name, value in self.metadata.items()},
            "duplicates": list(self.duplicates),
        }


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each stage of a search took, in seconds.

    Attributes:
        decode: Reading reference images.
        encode: The model.
        search: The store.
        rescore: Exact similarities, order and grouping.
    """

    decode: float = 0.0
    encode: float = 0.0
    search: float = 0.0
    rescore: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Return the stages and their sum in milliseconds."""
        stages = {"decode": self.decode, "encode": self.encode, "search": self.search, "rescore": self.rescore}
        return {name: round(1000 * seconds, 3) for name, seconds in (stages | {"total": sum(stages.values())}).items()}


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of one page.

    Attributes:
        more: Whether there is a next page.
    """

    hits: tuple[Hit, ...]
    timings: Timings
    more: bool


@dataclass(frozen=True, slots=True)
class AddReport:
    """What became of the files that were given to a gallery.

    Attributes:
        added: Images that are new.
        updated: Files whose content changed, and images whose metadata changed.
        unchanged: Files that need no work.
        moved: Images found under a new path, their old file gone.
        copies: Files whose content another file has as well.
        removed: Images whose last file is gone.
        ids: The image in each file that could be used, in the order given.
        skipped: Files that could not be used, and why.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    copies: int = 0
    removed: int = 0
    ids: tuple[str, ...] = ()
    skipped: tuple[SkippedImage, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the gallery is another than before."""
        return any((self.added, self.updated, self.moved, self.copies, self.removed))

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object, without the ids."""
        counts = {name: getattr(self, name) for name in ("added", "updated", "unchanged", "moved", "copies", "removed")}
        return counts | {"skipped": [{"path": each.name, "reason": each.reason} for each in self.skipped]}
