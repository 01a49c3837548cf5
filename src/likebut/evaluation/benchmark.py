"""A benchmark in memory: a gallery, the queries asked of it, and the truth to score the answers by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """Which metrics a benchmark reports, in the order of its papers' tables.

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
        protocol: The variant of the benchmark's rules; figures of different protocols are not comparable.
        gallery: The names of the candidates; empty if they are not known (CIRCO without COCO's list).
        images: Where the file of each image lies that the gallery or a query names; the file may be missing.
        part: The category, or a part with other queries, where a benchmark has several; else empty. The metrics of a
            named part bear its name.
        labels: "hard", "soft", or "hidden" where the benchmark's authors keep the truth to themselves.
        credits: For a query's id, what finding an image is worth to Recall@K, from 0 to 1. A query that is not
            listed gives 1 for its ``target`` alone.
        aspects: For a query's id, its semantic aspects.
        notes: What a reader of the figures must know, a sentence each.
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
        """Return what to call the benchmark in a sentence: "fashioniq val (dress)"."""
        return f"{self.name} {self.split} ({self.part})" if self.part else f"{self.name} {self.split}"

    def credits_of(self, query: Query) -> Mapping[str, float]:
        """Return what finding each image is worth to Recall@K; images that are no candidates are left out."""
        credits = self.credits.get(query.id, {query.target: 1.0})
        return {name: credit for name, credit in credits.items() if credit > 0 and name not in query.excluded}

    def needed_images(self) -> list[ImageRef]:
        """Return the images that an evaluation reads: the gallery's, then references outside the gallery."""
        names = dict.fromkeys([*self.gallery, *(query.reference for query in self.queries)])
        return [self.images[name] for name in names]

    def missing_images(self) -> list[SkippedImage]:
        """Return the images whose file is missing, with where it should be."""
        return [
            SkippedImage(image.name, f"There is no file {image.path}.")
            for image in self.needed_images()
            if not image.path.is_file()
        ]

    def require_labels(self) -> None:
        """Check that the truth is known.

        Raises:
            InputError: The benchmark's authors keep the labels of this split to themselves.
        """
        if self.labels == "hidden":
            raise InputError(
                f"The labels of {self.title} are hidden, so nothing can be measured here.",
                f"Write the files for its test server with `likebut submit {self.name}`, or use the split val.",
            )
