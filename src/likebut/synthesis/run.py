"""A synthesis run: models and features, shards, filters, summary; resumable."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock

from likebut.data.images import SkippedImage
from likebut.data.synthetic_triplets import DRAFTS, KEPT, SETTINGS_NAME, SUMMARY_NAME, read_rows, shard_name, write_rows
from likebut.data.triplets import ImageRef
from likebut.errors import ResumeError
from likebut.features.cache import FeatureCache, open_features
from likebut.files import fingerprint, read_json, remove_temporaries, write_json
from likebut.generator.generator import ModificationGenerator
from likebut.models.devices import ResolvedPrecision, resolve_precision
from likebut.progress import track
from likebut.recipes.schema import Precision
from likebut.retriever.retriever import Retriever
from likebut.settings import differences
from likebut.synthesis.filters import Filters, apply_filters, ordered_counts
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.round_trip import RoundTrip
from likebut.synthesis.writing import ShardWork, Tools, WritingSettings, plan_shards, write_shard


@dataclass(frozen=True)
class PreparedTools:
    """Models of a run with the feature cache.

    Attributes:
        features: Image tokens for the generator.
        skipped: Images that cannot be read.
    """

    tools: Tools
    features: FeatureCache
    skipped: list[SkippedImage]


def tools_identity(generator: ModificationGenerator, retriever: Retriever | None) -> dict[str, Any]:
    """Return generator, retriever and vision encoder as recorded in a run's settings."""
    return {
        "generator": {
            **generator.config.model_dump(),
            "weights_sha256": generator.weights_sha256,
            "vision": generator.vision.name,
            "preprocessing": generator.vision.preprocessing.fingerprint(),
        },
        "retriever": asdict(retriever.identity) if retriever else None,
    }


def prepare_tools(
    generator: ModificationGenerator,
    retriever: Retriever | None,
    images: Sequence[ImageRef],
    precision: Literal["fp32", "bf16"],
    feature_folder: Path | None = None,
) -> PreparedTools:
    """Encode the images of a run and return its models.

    Args:
        generator: Writes the texts; its language model is cast to ``precision``.
        retriever: Checks the round trip; None for no round trip.
        images: All images of the pairs.
        precision: Precision of the language model.
        feature_folder: Folder of the feature cache; by default the user's.
    """
    generator.model.language.to(torch.bfloat16 if precision == "bf16" else torch.float32)
    features = open_features(generator.vision, feature_folder)
    skipped = features.add(images, generator.vision)
    round_trip = None
    if retriever is not None:
        own = open_features(retriever.vision, feature_folder)
        if own.identity == features.identity:
            own = features
        else:
            own.add(images, retriever.vision)
        round_trip = RoundTrip(retriever, own)
    return PreparedTools(Tools(generator, features, round_trip), features, skipped)


@dataclass(frozen=True)
class Summary:
    """Result of a run.

    Attributes:
        pairs: Number of pairs.
        kept: Pairs whose modification text is kept.
        reverse_kept: Those of them whose reverse text is kept too.
        reasons: Numbers of pairs kept, and dropped by each reason.
        reverse_reasons: The same for the reverse texts of kept pairs.
        shards: Number of shards.
        skipped: Images that cannot be read; their pairs are skipped.
    """

    pairs: int
    kept: int
    reverse_kept: int
    reasons: dict[str, int]
    reverse_reasons: dict[str, int]
    shards: int
    skipped: list[SkippedImage]

    @property
    def triplets(self) -> int:
        """Number of training triplets: one for each text kept."""
        return self.kept + self.reverse_kept

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        images = [image.to_json() for image in self.skipped]
        return {**asdict(self), "triplets": self.triplets, "skipped": images}


def synthesize(
    folder: Path,
    pairs: Sequence[MinedPair],
    tools: Tools,
    writing: WritingSettings,
    filters: Filters,
    identity: Mapping[str, Any],
    skipped: Sequence[SkippedImage] = (),
    refilter: bool = False,
) -> Summary:
    """Write texts for ``pairs`` into shards in ``folder``, and filter them.

    If killed at any moment and called again with the same arguments, it ends with the same shards.

    Args:
        folder: Folder of the run.
        pairs: Pairs of images with tokens.
        tools: Generator, features and round trip.
        writing: Settings of writing.
        filters: The filters.
        identity: What else the texts depend on: generator, retriever, vision encoder.
        skipped: Skipped images, for the summary.
        refilter: Whether existing texts may be filtered again with other settings.

    Raises:
        ResumeError: ``folder`` has a run with other settings; the message names each difference.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The operating system releases the lock if the process is killed.
    with FileLock(folder / "writer.lock"):
        wanted = {**identity, "writing": writing.model_dump(), "pairs": _pairs_fingerprint(pairs, tools)}
        _claim(folder, wanted, filters, refilter)
        for place in (folder, folder / DRAFTS):
            remove_temporaries(place)
        shards = plan_shards(pairs, writing)
        _write_drafts(folder, shards, tools, len(pairs))
        summary = _filter_drafts(folder, shards, filters, len(pairs), skipped)
        write_json(folder / SUMMARY_NAME, summary.to_json())
    return summary


def run_precision(folder: Path, precision: Precision, device: torch.device) -> ResolvedPrecision:
    """Return the precision of the run in ``folder``; "auto" keeps what the run began with."""
    settings = folder / SETTINGS_NAME
    recorded = read_json(settings).get("writing", {}).get("precision") if settings.is_file() else None
    return resolve_precision(precision, device, recorded)


def write_draft(work: ShardWork, tools: Tools, folder: Path, advance: Callable[[int], None] | None = None) -> Path:
    """Write the draft of one shard of the run in ``folder``, and return its path; a cluster's worker calls this."""
    path = folder / DRAFTS / shard_name(work.number)
    write_rows(path, write_shard(work, tools, advance))
    return path


def refuse_other_settings(folder: Path, wanted: Mapping[str, Any], refilter: bool) -> None:
    """Check that a run in ``folder``, if there is one, has the settings ``wanted``.

    Args:
        folder: Folder of the run.
        wanted: Some or all of a run's settings.
        refilter: Whether the filters' settings may differ.

    Raises:
        ResumeError: A setting differs; the message names each difference.
    """
    if not (folder / SETTINGS_NAME).is_file():
        return
    existing = read_json(folder / SETTINGS_NAME)
    compared = {key for key in wanted if not (refilter and key == "filters")}
    changed = differences(
        {key: existing[key] for key in compared if key in existing}, {key: wanted[key] for key in compared}
    )
    if changed:
        raise ResumeError(
            f"The synthesis in {folder} was started with other settings: {'; '.join(changed)}.",
            "Use the same settings or another folder; --refilter filters existing texts with other settings.",
        )


def _claim(folder: Path, writing: Mapping[str, Any], filters: Filters, refilter: bool) -> None:
    wanted = {**writing, "filters": filters.identity()}
    refuse_other_settings(folder, wanted, refilter)
    (folder / SUMMARY_NAME).unlink(missing_ok=True)
    write_json(folder / SETTINGS_NAME, wanted)


def _pairs_fingerprint(pairs: Sequence[MinedPair], tools: Tools) -> str:
    names = sorted({name for pair in pairs for name in (pair.reference, pair.target)})
    contents = [tools.features.content(name) for name in names]
    neighbours = [[pair.reference_neighbours, pair.target_neighbours] for pair in pairs] if tools.round_trip else []
    return fingerprint([[[pair.reference, pair.target] for pair in pairs], neighbours, names, contents])


def _write_drafts(folder: Path, shards: Sequence[ShardWork], tools: Tools, pairs: int) -> None:
    remaining = [work for work in shards if not (folder / DRAFTS / shard_name(work.number)).is_file()]
    done = pairs - sum(len(work.pairs) for work in remaining)
    with track("writing modification texts", pairs, "pairs", done=done) as meter:
        for work in remaining:
            write_draft(work, tools, folder, meter.advance)


def _filter_drafts(
    folder: Path, shards: Sequence[ShardWork], filters: Filters, pairs: int, skipped: Sequence[SkippedImage]
) -> Summary:
    drafts = (row for work in shards for row in read_rows(folder / DRAFTS / shard_name(work.number)))
    filtered = apply_filters(drafts, filters, pairs)
    reasons: Counter[str] = Counter()
    reverse_reasons: Counter[str] = Counter()
    for work in shards:
        rows = list(islice(filtered, len(work.pairs)))
        write_rows(folder / shard_name(work.number), rows)
        reasons.update(row.status for row in rows if row.status)
        reverse_reasons.update(row.reverse_status for row in rows if row.reverse_status)
    return Summary(
        pairs=pairs,
        kept=reasons[KEPT],
        reverse_kept=reverse_reasons[KEPT],
        reasons=ordered_counts(reasons),
        reverse_reasons=ordered_counts(reverse_reasons),
        shards=len(shards),
        skipped=list(skipped),
    )
