"""The two jobs of `likebut synthesize`: texts for mined pairs, and reverse texts for human triplets."""

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
    """What both jobs need.

    Attributes:
        generator: Writes.
        retriever: Checks the round trip; None for none.
        writing: How to write.
        filters: How strict the filters are.
        blocklist: What nobody should be shown.
        refilter: Whether texts already written may be apply_filters anew with other filter settings.
        feature_folder: Where vision tokens are cached; in the user's cache folder if None.
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
        folder: Where the run lives.
        pairs: What to write about; pairs with an image that cannot be used are left out.
        images: By name.
        job: How.

    Raises:
        InputError: A pair names an image that there is none of, or none of the pairs can be used.
        ResumeError: A run with other settings was begun in ``folder``.
    """
    # Neighbours serve the round trip alone: without a retriever their tokens need not be computed.
    needed = _needed(pairs, images, with_around=job.retriever is not None)
    _refuse_other_settings(folder, job, PAIRS_JOB)
    prepared = _prepare(needed, job)
    usable = _surrounded(_usable(pairs, prepared), prepared, job)
    return _run(folder, usable, prepared, job, PAIRS_JOB)


def write_reverse_texts(
    folder: Path, triplets: Sequence[Triplet], images: Mapping[str, ImageRef], job: Job
) -> tuple[Summary, list[Triplet]]:
    """Write the reverse modification texts that human triplets lack, and all triplets to ``folder/triplets.jsonl``.

    A triplet whose text the filters dropped is left out of that file, so that training can compare prototypes on all
    that is in it.

    Args:
        folder: Where the run lives.
        triplets: Human triplets of one split.
        images: By name.
        job: How; its ``writing.both_directions`` does not count.

    Returns:
        What the run came to, and the triplets that were left out.

    Raises:
        InputError: No triplet lacks a reverse text, or a triplet names an image that there is none of.
        ResumeError: A run with other settings was begun in ``folder``.
    """
    pairs = reverse_pairs(triplets)
    if not pairs:
        raise InputError(
            f"None of the {len(triplets)} triplets lacks a reverse modification text.", "There is nothing to write."
        )
    needed = _needed(pairs, images, with_around=False)
    one_way = replace(job, writing=job.writing.model_copy(update={"both_directions": False}))
    _refuse_other_settings(folder, one_way, REVERSE_JOB)
    prepared = _prepare(needed, one_way)
    usable = _surrounded(_usable(pairs, prepared), prepared, one_way)
    summary = _run(folder, usable, prepared, one_way, REVERSE_JOB)
    filled, left_out = with_reverse_texts(triplets, read_reverse_texts(folder))
    write_triplets(folder / "triplets.jsonl", filled)
    return summary, left_out


def _needed(pairs: Sequence[MinedPair], images: Mapping[str, ImageRef], with_around: bool) -> list[ImageRef]:
    names = {name for pair in pairs for name in (pair.reference, pair.target)}
    absent = sorted(names - images.keys())
    if absent:
        raise InputError(
            f"{len(absent)} of the images that the pairs name are not there, {absent[0]} first.",
            "Give the folder that the pairs were mined from.",
        )
    if with_around:
        around = {name for pair in pairs for name in (*pair.reference_neighbours, *pair.target_neighbours)}
        names |= around & images.keys()
    return [images[name] for name in sorted(names)]


def _prepare(images: Sequence[ImageRef], job: Job) -> PreparedTools:
    return prepare_tools(job.generator, job.retriever, images, job.writing.precision, job.feature_folder)


def _usable(pairs: Sequence[MinedPair], prepared: PreparedTools) -> list[MinedPair]:
    """Return the pairs whose images have tokens, without those neighbours that have none."""
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
        )
    return usable


def _surrounded(pairs: list[MinedPair], prepared: PreparedTools, job: Job) -> list[MinedPair]:
    """Return the pairs with neighbours, for the round trip, where they were not mined with any."""
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
    """Return what is to be written about: from target to reference, for each triplet without a reverse text."""
    lacking = ((triplet.target, triplet.reference) for triplet in triplets if not triplet.reverse_modification)
    return [MinedPair(reference, target) for reference, target in dict.fromkeys(lacking)]


def source_images(folder: Path, split: str | None, benchmark: str | None) -> list[ImageRef]:
    """Return the images below ``folder``.

    Args:
        folder: A data folder, a plain folder of images, or a benchmark's.
        split: Only this split's; for a benchmark "train" if None, otherwise all images.
        benchmark: "cirr" or "fashioniq", if ``folder`` is that benchmark's; images then bear its names.

    Raises:
        InputError: There is no such folder, split or benchmark.
    """
    if benchmark is None:
        return find_images(folder, split)
    if _known(benchmark) == "cirr":
        return list(cirr_images(folder, split or "train").values())
    return list(load_fashioniq_triplets(folder, split or "train")[1].values())


def human_triplets(folder: Path, split: str, benchmark: str | None) -> tuple[list[Triplet], dict[str, ImageRef]]:
    """Return the human triplets of a split, and images by name.

    Raises:
        InputError: There is no such folder, split or benchmark.
    """
    if benchmark is not None:
        load = load_cirr_triplets if _known(benchmark) == "cirr" else load_fashioniq_triplets
        return load(folder, split)
    data = DataFolder.open(folder)
    triplets = data.triplets(split)
    if not triplets:
        known = ", ".join(sorted({triplet.split for triplet in data.triplets()})) or "none"
        raise InputError(
            f'{folder / "triplets.jsonl"} has no triplets of the split "{split}".', f"Splits there: {known}."
        )
    return triplets, data.images()


def _known(benchmark: str) -> str:
    if benchmark not in ("cirr", "fashioniq"):
        raise InputError(f'"{benchmark}" has no images to write about.', "Choose cirr or fashioniq.")
    return benchmark
