"""The jobs of `likebut synthesize`: texts for mined pairs, and reverse texts for human triplets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from likebut.data.folder import DataFolder, find_images
from likebut.data.images import SkippedImage
from likebut.data.synthetic_triplets import (
    PAIRS_JOB,
    REVERSE_JOB,
    read_reverse_texts,
    with_reverse_texts,
)
from likebut.data.triplets import ImageRef, Triplet, write_triplets
from likebut.errors import InputError
from likebut.evaluation.benchmarks.cirr import cirr_images, load_cirr_triplets
from likebut.evaluation.benchmarks.fashioniq import load_fashioniq_triplets
from likebut.features.neighbours import frozen_vectors
from likebut.generator.generator import ModificationGenerator
from likebut.retriever.retriever import Retriever
from likebut.synthesis.filters import Blocklist, Filters, FilterSettings
from likebut.synthesis.mining import MinedPair, with_neighbours
from likebut.synthesis.run import (
    PreparedTools,
    Summary,
    prepare_tools,
    refuse_other_settings,
    synthesize,
    tools_identity,
)
from likebut.synthesis.writing import WritingSettings

_NEIGHBOURHOOD = 16


@dataclass(frozen=True)
class Job:
    """Models and settings of a job.

    Attributes:
        generator: Writes the texts.
        retriever: Checks the round trip; None for no round trip.
        writing: Settings of writing.
        filters: Thresholds of the filters.
        blocklist: Blocked words.
        refilter: Whether existing texts may be filtered again with other settings.
        feature_folder: Folder of the feature cache; by default the user's.
    """

    generator: ModificationGenerator
    retriever: Retriever | None
    writing: WritingSettings
    filters: FilterSettings
    blocklist: Blocklist
    refilter: bool = False
    feature_folder: Path | None = None


def write_about_pairs(folder: Path, pairs: Sequence[MinedPair], images: Mapping[str, ImageRef], job: Job) -> Summary:
    """Write texts in both directions for mined pairs, into shards in ``folder``.

    Args:
        folder: Folder of the run.
        pairs: Mined pairs; those with an image that cannot be read are skipped.
        images: Images by name.
        job: Models and settings.

    Raises:
        InputError: An image of a pair is not in ``images``, or no pair can be used.
        ResumeError: ``folder`` has a run with other settings.
    """
    # Only the round trip needs the neighbours' tokens.
    needed = _needed(pairs, images, with_neighbour_images=job.retriever is not None)
    _refuse_other_settings(folder, job, PAIRS_JOB)
    prepared = _prepare(needed, job)
    usable = _with_neighbours(_usable(pairs, prepared), prepared, job)
    return _run(folder, usable, prepared, job, PAIRS_JOB)


def write_reverse_texts(
    folder: Path, triplets: Sequence[Triplet], images: Mapping[str, ImageRef], job: Job
) -> tuple[Summary, list[Triplet]]:
    """Write the reverse modification texts that human triplets lack, and all triplets to ``folder/triplets.jsonl``.

    Triplets whose reverse text is dropped by the filters are not in that file, so that the prototype loss applies to
    all that are.

    Args:
        folder: Folder of the run.
        triplets: Human triplets of one split.
        images: Images by name.
        job: Models and settings; ``writing.both_directions`` has no effect.

    Returns:
        The summary, and the triplets that are not in the file.

    Raises:
        InputError: No triplet lacks a reverse text, or an image of a triplet is not in ``images``.
        ResumeError: ``folder`` has a run with other settings.
    """
    pairs = reverse_pairs(triplets)
    if not pairs:
        raise InputError(
            f"All {len(triplets)} triplets have a reverse modification text.",
            "There is nothing to write.",
            code="nothing-to-write",
        )
    needed = _needed(pairs, images, with_neighbour_images=False)
    one_way = replace(job, writing=job.writing.model_copy(update={"both_directions": False}))
    _refuse_other_settings(folder, one_way, REVERSE_JOB)
    prepared = _prepare(needed, one_way)
    usable = _with_neighbours(_usable(pairs, prepared), prepared, one_way)
    summary = _run(folder, usable, prepared, one_way, REVERSE_JOB)
    filled, left_out = with_reverse_texts(triplets, read_reverse_texts(folder))
    write_triplets(folder / "triplets.jsonl", filled)
    return summary, left_out


def _needed(pairs: Sequence[MinedPair], images: Mapping[str, ImageRef], with_neighbour_images: bool) -> list[ImageRef]:
    names = {name for pair in pairs for name in (pair.reference, pair.target)}
    absent = sorted(names - images.keys())
    if absent:
        raise InputError(
            f"{len(absent)} images of the pairs are missing, {absent[0]} first.",
            "Give the folder that the pairs were mined from.",
            code="missing-images",
        )
    if with_neighbour_images:
        neighbours = {name for pair in pairs for name in (*pair.reference_neighbours, *pair.target_neighbours)}
        names |= neighbours & images.keys()
    return [images[name] for name in sorted(names)]


def _prepare(images: Sequence[ImageRef], job: Job) -> PreparedTools:
    return prepare_tools(job.generator, job.retriever, images, job.writing.precision, job.feature_folder)


def _usable(pairs: Sequence[MinedPair], prepared: PreparedTools) -> list[MinedPair]:
    """Return the pairs whose images have tokens, without neighbours that have none."""
    known = prepared.features
    usable = [
        replace(
            pair,
            reference_neighbours=tuple(name for name in pair.reference_neighbours if name in known),
            target_neighbours=tuple(name for name in pair.target_neighbours if name in known),
        )
        for pair in pairs
        if pair.reference in known and pair.target in known
    ]
    if not usable:
        first: SkippedImage = prepared.skipped[0]
        raise InputError(
            f"None of the {len(pairs)} pairs can be used: {len(prepared.skipped)} images cannot be read, "
            f"{first.name} first ({first.reason.rstrip('.')}).",
            "Replace the images.",
            code="no-usable-pairs",
        )
    return usable


def _with_neighbours(pairs: list[MinedPair], prepared: PreparedTools, job: Job) -> list[MinedPair]:
    """Return the pairs with the neighbours that the round trip needs, where they were mined without."""
    if job.retriever is None or all(pair.reference_neighbours and pair.target_neighbours for pair in pairs):
        return pairs
    names = sorted({name for pair in pairs for name in (pair.reference, pair.target)})
    return with_neighbours(pairs, names, frozen_vectors(prepared.features, names), _NEIGHBOURHOOD)


def _refuse_other_settings(folder: Path, job: Job, kind: str) -> None:
    """Check all settings that are known before the images are encoded, which may take long."""
    wanted = {**_identity(job, kind), "writing": job.writing.model_dump(), "filters": _filters(job).identity()}
    refuse_other_settings(folder, wanted, job.refilter)


def _run(folder: Path, pairs: Sequence[MinedPair], prepared: PreparedTools, job: Job, kind: str) -> Summary:
    return synthesize(
        folder,
        pairs,
        prepared.tools,
        job.writing,
        _filters(job),
        _identity(job, kind),
        prepared.skipped,
        job.refilter,
    )


def _identity(job: Job, kind: str) -> dict[str, Any]:
    return {"job": kind, **tools_identity(job.generator, job.retriever)}


def _filters(job: Job) -> Filters:
    return Filters(job.filters, job.blocklist, job.generator.config.instruction)


def reverse_pairs(triplets: Sequence[Triplet]) -> list[MinedPair]:
    """Return the pairs (target, reference) of all triplets without a reverse text."""
    lacking = ((triplet.target, triplet.reference) for triplet in triplets if not triplet.reverse_modification)
    return [MinedPair(reference, target) for reference, target in dict.fromkeys(lacking)]


def source_images(folder: Path, split: str | None, benchmark: str | None) -> list[ImageRef]:
    """Return the images of ``folder``.

    Args:
        folder: A data folder, a folder of images, or a benchmark's folder.
        split: Split of the images; by default all, of a benchmark "train".
        benchmark: "cirr" or "fashioniq" if ``folder`` is that benchmark's.

    Raises:
        InputError: The folder, split or benchmark does not exist.
    """
    if benchmark is None:
        return find_images(folder, split)
    if _require_benchmark(benchmark) == "cirr":
        return list(cirr_images(folder, split or "train").values())
    return list(load_fashioniq_triplets(folder, split or "train")[1].values())


def human_triplets(folder: Path, split: str, benchmark: str | None) -> tuple[list[Triplet], dict[str, ImageRef]]:
    """Return the human triplets of a split, and images by name.

    Raises:
        InputError: The folder, split or benchmark does not exist.
    """
    if benchmark is not None:
        load = load_cirr_triplets if _require_benchmark(benchmark) == "cirr" else load_fashioniq_triplets
        return load(folder, split)
    data = DataFolder.open(folder)
    triplets = data.triplets(split)
    if not triplets:
        known = ", ".join(sorted({triplet.split for triplet in data.triplets()})) or "none"
        raise InputError(
            f'{folder / "triplets.jsonl"} has no triplets of the split "{split}".',
            f"Its splits: {known}.",
            code="unknown-split",
        )
    return triplets, data.images()


def _require_benchmark(benchmark: str) -> str:
    if benchmark not in ("cirr", "fashioniq"):
        raise InputError(
            f'"{benchmark}" is no benchmark with images.', "Choose cirr or fashioniq.", code="unknown-benchmark"
        )
    return benchmark
