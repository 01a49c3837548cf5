"""Getting generator, retriever and vision tokens ready for a run."""

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
from likebut.synthesis.filters import Filters, apply_filters, in_order
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.round_trip import RoundTrip
from likebut.synthesis.writing import ShardWork, Tools, WritingSettings, plan_shards, write_shard


@dataclass(frozen=True)
class PreparedTools:
    """Tools with what they can be used on.

    Attributes:
        features: The tokens that the generator reads.
        skipped: Images that cannot be used.
    """

    tools: Tools
    features: FeatureCache
    skipped: list[SkippedImage]


def tools_identity(generator: ModificationGenerator, retriever: Retriever | None) -> dict[str, Any]:
    """Return generator, retriever and vision encoder as a run's settings name them."""
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
    """Return the tools of a run, every usable image's tokens in the cache.

    Args:
        generator: Writes; its language model is cast to ``precision``.
        retriever: Checks the round trip; None for no round trip.
        images: All images that pairs may name.
        precision: Of the language model.
        feature_folder: Where vision tokens are cached; in the user's cache folder if None.
    """
    generator.model.language.to(torch.bfloat16 if precision == "bf16" else torch.float32)
    features = open_features(generator.vision, feature_folder)
    skipped = features.add(images, generator.vision)
    round_trip = None
    if retriever is not None:
        seen = open_features(retriever.vision, feature_folder)
        if seen.identity == features.identity:
            seen = features
        else:
            seen.add(images, retriever.vision)
        round_trip = RoundTrip(retriever, seen)
    return PreparedTools(Tools(generator, features, round_trip), features, skipped)


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes:
        pairs: Pairs written about.
        kept: Pairs whose modification text was kept.
        reverse_kept: Those of them whose reverse text was kept too.
        reasons: How many pairs were kept, and how many dropped for each reason.
        reverse_reasons: Likewise the reverse texts of the pairs that were kept.
        shards: How many.
        skipped: Images that could not be used; pairs with them were left out.
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
        """How many training triplets the run gives: one for each text that was kept."""
        return self.kept + self.reverse_kept

    def to_json(self) -> dict[str, Any]:
        """Return the summary as ``summary.json`` holds it."""
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
    """Write texts for ``pairs`` into shards in ``folder``, and judge them.

    Killed at any moment and called again with the same arguments, it ends with the same shards.

    Args:
        folder: Where the run lives.
        pairs: Every image of them has tokens.
        tools: What writes and checks.
        writing: How to write.
        filters: How to judge.
        identity: What else the texts depend on: generator, retriever, vision encoder.
        skipped: For the summary.
        refilter: Whether texts already written may be apply_filters anew with other filter settings.

    Raises:
        ResumeError: A run with other settings was begun in ``folder``; the message names each difference.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The operating system drops the lock with the process, so that a kill leaves nothing locked.
    with FileLock(folder / "writer.lock"):
        wanted = {**identity, "writing": writing.model_dump(), "pairs": _pairs_fingerprint(pairs, tools)}
        _claim(folder, wanted, filters, refilter)
        for place in (folder, folder / DRAFTS):
            remove_temporaries(place)
        shards = plan_shards(pairs, writing)
        _write_drafts(folder, shards, tools, len(pairs))
        summary = _judge(folder, shards, filters, len(pairs), skipped)
        write_json(folder / SUMMARY_NAME, summary.to_json())
    return summary


def run_precision(folder: Path, precision: Precision, device: torch.device) -> ResolvedPrecision:
    """Return the precision of the run in ``folder``; "auto" keeps what the run began with."""
    settings = folder / SETTINGS_NAME
    recorded = read_json(settings).get("writing", {}).get("precision") if settings.is_file() else None
    return resolve_precision(precision, device, recorded)


def write_draft(work: ShardWork, tools: Tools, folder: Path, advance: Callable[[int], None] | None = None) -> Path:
    """Write one shard's draft below a run's ``folder`` and return its file: what a cluster's worker does."""
    path = folder / DRAFTS / shard_name(work.number)
    write_rows(path, write_shard(work, tools, advance))
    return path


def refuse_other_settings(folder: Path, wanted: Mapping[str, Any], refilter: bool) -> None:
    """Check that what was begun in ``folder``, if anything was, has the settings ``wanted``.

    Args:
        folder: Where the run lives.
        wanted: Some of a run's settings, or all.
        refilter: Whether the filters' settings may differ.

    Raises:
        ResumeError: A setting differs; the message names each.
    """
    if not (folder / SETTINGS_NAME).is_file():
        return
    begun = read_json(folder / SETTINGS_NAME)
    compared = {key for key in wanted if not (refilter and key == "filters")}
    changed = differences({key: begun[key] for key in compared if key in begun}, {key: wanted[key] for key in compared})
    if changed:
        raise ResumeError(
            f"The synthesis in {folder} was begun with other settings: {'; '.join(changed)}.",
            "Give the same settings, another folder, or remove that one; "
            "--refilter judges what is already written by other filter settings.",
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


def _judge(
    folder: Path, shards: Sequence[ShardWork], filters: Filters, pairs: int, skipped: Sequence[SkippedImage]
) -> Summary:
    drafts = (row for work in shards for row in read_rows(folder / DRAFTS / shard_name(work.number)))
    verdicts = apply_filters(drafts, filters, pairs)
    reasons: Counter[str] = Counter()
    reverse_reasons: Counter[str] = Counter()
    for work in shards:
        rows = list(islice(verdicts, len(work.pairs)))
        write_rows(folder / shard_name(work.number), rows)
        reasons.update(row.status for row in rows if row.status)
        reverse_reasons.update(row.reverse_status for row in rows if row.reverse_status)
    return Summary(
        pairs=pairs,
        kept=reasons[KEPT],
        reverse_kept=reverse_reasons[KEPT],
        reasons=in_order(reasons),
        reverse_reasons=in_order(reverse_reasons),
        shards=len(shards),
        skipped=list(skipped),
    )
