"""Requests to a gallery and their results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

from PIL import Image

from likebut.data.images import SkippedImage
from likebut.errors import InputError
from likebut.gallery.fields import Metadata, json_value, require_utf8
from likebut.gallery.metadata import SkippedLine

ImageSource = Path | bytes | Image.Image
BALANCED = 0.5
_LARGEST_COUNT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A composed query: reference images, a modification text, or both.

    Attributes:
        images: Reference images that need not be in the gallery: files, file content, or decoded images.
        image_ids: Reference images that are in the gallery.
        text: Modification text; without reference images, a description.
        negative: Description of what the results should not show, such as "striped".
        weight: 0 uses the text alone, 0.5 the composed query, 1 the images alone. Ignored unless there are both.
        k: Number of hits.
        offset: Number of hits to skip.
        filters: Conditions on metadata, as for :func:`likebut.gallery.filters.parse_filter`.
        keep_references: Whether a reference image may be among the hits.
        group_duplicates: Whether near-duplicates share one hit.
        exact: Whether to compare with every image even if there is an index.
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
        """Validate the request.

        Raises:
            InputError: There is neither an image nor a text, a value has the wrong type, or a number is out of range.
        """
        for name in ("text", "negative"):
            if not isinstance(getattr(self, name), str):
                raise _invalid(f"{name} is {getattr(self, name)!r}, not a string.", 'Give a string; "" for none.')
            _require_utf8(name, getattr(self, name))
        for image_id in self.image_ids:
            if not isinstance(image_id, str):
                raise _invalid(f"image_id is {image_id!r}, not a string.", "Give the id of an image: hit.id.")
            _require_utf8("image_id", image_id)
        for name in ("k", "offset"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or int(value) > _LARGEST_COUNT:
                raise _invalid(f"{name} is {value!r}, not an integer up to {_LARGEST_COUNT}.", f"Change {name}.")
        if not (self.images or self.image_ids or self.text.strip()):
            raise _invalid("The search has neither an image nor a text.", "Give an image, a text, or both.")
        if not 0 <= self.weight <= 1:
            raise _invalid(f"The weight is {self.weight}, not between 0 and 1.", "0 is text alone, 1 image alone.")
        if self.k < 1 or self.offset < 0:
            raise _invalid(f"k is {self.k} and offset {self.offset}.", "k is at least 1 and offset at least 0.")


def _require_utf8(name: str, text: str) -> None:
    try:
        require_utf8(text)
    except UnicodeEncodeError:
        raise InputError(f"{name} is {text!r}, which is not valid UTF-8.", "Change it.", code="not-utf8") from None


def _invalid(problem: str, remedy: str) -> InputError:
    return InputError(problem, remedy, code="invalid-request")


@dataclass(frozen=True, slots=True)
class Hit:
    """A search result.

    Attributes:
        id: SHA-256 of the file's content.
        path: Last known path of the file.
        score: Similarity to the query in [-1, 1]: the largest cosine over the image's N target embeddings.
        metadata: Fields that have a value: width, height, bytes, taken, and the user's own.
        duplicates: Ids of near-duplicates of the image.
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
    """Duration of each stage of a search, in seconds.

    Attributes:
        decode: Reading the reference images.
        encode: The model.
        search: The store.
        rescore: Exact scoring, sorting and grouping.
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
    """One page of hits.

    Attributes:
        more: Whether there is a next page.
        truncated_texts: Which of "text" and "negative" have more tokens than the model reads; their ends were ignored.
    """

    hits: tuple[Hit, ...]
    timings: Timings
    more: bool
    truncated_texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AddReport:
    """The outcome of adding files to a gallery.

    Attributes:
        added: New images.
        updated: Files whose content changed, and images whose metadata changed.
        unchanged: Files that were up to date.
        moved: Images found under a new path after their old file disappeared.
        copies: Files with the same content as another file.
        removed: Images whose last file disappeared.
        ids: Id of the image in each usable file, in the order given.
        skipped: Files that could not be used, and why.
        skipped_metadata: Lines of the metadata file that were not applied, and why.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    copies: int = 0
    removed: int = 0
    ids: tuple[str, ...] = ()
    skipped: tuple[SkippedImage, ...] = ()
    skipped_metadata: tuple[SkippedLine, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the gallery changed."""
        return any((self.added, self.updated, self.moved, self.copies, self.removed))

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object, without the ids."""
        counts = {name: getattr(self, name) for name in ("added", "updated", "unchanged", "moved", "copies", "removed")}
        return counts | {
            "skipped": [{"path": each.name, "reason": each.reason} for each in self.skipped],
            "skipped_metadata": [each.to_json() for each in self.skipped_metadata],
        }
