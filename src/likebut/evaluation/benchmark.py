"""A benchmark in memory: a gallery, queries, and the labels that rankings are scored by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """The metrics that a benchmark reports, in the order of its published tables.

    Attributes:
        precision_at: The K of mAP@K.
        recall_at: The K of Recall@K.
        subset_recall_at: The K of Recall_subset@K.
        average: Whether to report CIRR's Avg, (Recall@5 + Recall_subset@1) / 2.
        hard_negatives: Whether to report how often a hard negative outranks every target.
        aspects: The semantic aspects to report mAP@10 for.
    """

    precision_at: tuple[int, ...] = ()
    recall_at: tuple[int, ...] = ()
    subset_recall_at: tuple[int, ...] = ()
    average: bool = False
    hard_negatives: bool = False
    aspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """One split of a benchmark, or one category of it.

    Attributes:
        name: "cirr", "fashioniq", "circo", "clothing" or "folder".
        protocol: The variant of the benchmark's rules; metrics of different protocols are not comparable.
        gallery: The names of the candidates; empty if they are unknown (CIRCO without COCO's image list).
        images: The file of each image that the gallery or a query names; the file may be missing.
        part: The category, or the query set, where a benchmark has several; else empty. It prefixes the names of the
            part's metrics.
        labels: "hard", "soft", or "hidden" where the benchmark's authors do not publish the labels.
        credits: Query id → image → the credit in [0, 1] that retrieving the image earns in Recall@K. A query that is
            not listed credits its ``target`` with 1.
        aspects: Query id → its semantic aspects.
        notes: Caveats that apply to the metrics, one sentence each.
    """

    name: str
    split: str
    protocol: str
    gallery: list[str]
    queries: list[Query]
    images: dict[str, ImageRef]
    plan: MetricPlan
    part: str = ""
    labels: str = "hard"
    credits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    aspects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The benchmark's name in messages: "fashioniq val (dress)"."""
        return f"{self.name} {self.split} ({self.part})" if self.part else f"{self.name} {self.split}"

    def credits_of(self, query: Query) -> Mapping[str, float]:
        """Return the images that earn credit in Recall@K, with their credit; excluded images are left out."""
        credits = self.credits.get(query.id, {query.target: 1.0})
        return {name: credit for name, credit in credits.items() if credit > 0 and name not in query.excluded}

    def needed_images(self) -> list[ImageRef]:
        """Return the images that an evaluation reads: the gallery, then references outside the gallery."""
        names = dict.fromkeys([*self.gallery, *(query.reference for query in self.queries)])
        return [self.images[name] for name in names]

    def missing_images(self) -> list[SkippedImage]:
        """Return the needed images that have no file, with the expected path as the reason."""
        return [
            SkippedImage(image.name, f"There is no file {image.path}.")
            for image in self.needed_images()
            if not image.path.is_file()
        ]

    def require_labels(self) -> None:
        """Check that the labels are known.

        Raises:
            InputError: The benchmark's authors do not publish the labels of this split.
        """
        if self.labels == "hidden":
            raise InputError(
                f"The labels of {self.title} are hidden, so no metric can be computed.",
                f"Write the files for its test server with `likebut submit {self.name}`, or use the split val.",
                code="hidden-labels",
            )
