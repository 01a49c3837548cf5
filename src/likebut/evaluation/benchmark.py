"""A benchmark in memory: a gallery, queries, and the labels that rankings are scored by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError
from likebut.evaluation.query_templates import MODIFICATION, find_query_template


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
        complete_ranking: Whether to report i-CIR's mAP, for which rankings contain every candidate.
        hits_at: The K of Precision@K.
        negatives_at: The K of NegRecall@K, of mAP@K without the hard negatives, and of the difference to mAP@K.
        group_range_at: The K of Precision@K whose range within a group of paraphrases is reported; None if it is not.
    """

    precision_at: tuple[int, ...] = ()
    recall_at: tuple[int, ...] = ()
    subset_recall_at: tuple[int, ...] = ()
    average: bool = False
    hard_negatives: bool = False
    aspects: tuple[str, ...] = ()
    complete_ranking: bool = False
    hits_at: tuple[int, ...] = ()
    negatives_at: tuple[int, ...] = ()
    group_range_at: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """One split of a benchmark, or one category of it.

    Attributes:
        name: A key of the registry of benchmarks, "clothing" or "folder".
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
        candidates: Query id → the images that the query ranks, all of them in the gallery. A query that is not listed
            ranks the whole gallery. Queries with the same candidates should share one tuple.
        groups: Query id → the group that it belongs to: i-CIR's instance, PinPoint's reference images.
        parts: The part of every benchmark that metrics are averaged over; empty if there is no such mean.
        text_fields: Query id → the texts that a query template is filled with; see
            :mod:`likebut.evaluation.query_templates`.
        query_template: The name of the template that the modification texts were written with.
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
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    text_fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    query_template: str = MODIFICATION

    @property
    def title(self) -> str:
        """The benchmark's name in messages: "fashioniq val (dress)"."""
        return f"{self.name} {self.split} ({self.part})" if self.part else f"{self.name} {self.split}"

    def credits_of(self, query: Query) -> Mapping[str, float]:
        """Return the images that earn credit in Recall@K, with their credit; excluded images are left out."""
        credits = self.credits.get(query.id, {query.target: 1.0})
        return {name: credit for name, credit in credits.items() if credit > 0 and name not in query.excluded}

    def candidates_of(self, query: Query) -> Sequence[str]:
        """Return the images that a query ranks, its excluded images among them."""
        return self.candidates.get(query.id, self.gallery)

    def with_query_template(self, name: str) -> "Benchmark":
        """Return the benchmark with its modification texts written by a template.

        Args:
            name: A key of :data:`likebut.evaluation.query_templates.QUERY_TEMPLATES`.

        Raises:
            InputError: There is no such template, or it reads a field that a query's annotation does not have.
        """
        template = find_query_template(name)
        queries = []
        for query in self.queries:
            texts = {MODIFICATION: query.modification, **self.text_fields.get(query.id, {})}
            first, *further = template.fill(texts, f"query {query.id} of {self.title}")
            queries.append(replace(query, modification=first, further_modifications=tuple(further)))
        return replace(self, queries=queries, query_template=name)

    def needed_images(self) -> list[ImageRef]:
        """Return the images that an evaluation reads: the gallery, then references outside the gallery."""
        names = dict.fromkeys([*self.gallery, *(name for query in self.queries for name in query.references)])
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
