"""Synthetic triplets: shards of generated modification texts, and reading them as training triplets."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from likebut.data.images import skipped_in
from likebut.data.triplets import Triplet
from likebut.errors import InputError
from likebut.files import atomic_path, read_json

DRAFTS = "drafts"
SETTINGS_NAME = "settings.json"
SUMMARY_NAME = "summary.json"
PAIRS_JOB = "pairs"
REVERSE_JOB = "reverse texts"
KEPT = "kept"
SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("reference", pa.string()),
        ("target", pa.string()),
        ("modification", pa.string()),
        ("decoding", pa.string()),
        ("reverse_modification", pa.string()),
        ("rank", pa.int32()),
        ("reverse_rank", pa.int32()),
        ("neighbours", pa.int32()),
        ("reverse_neighbours", pa.int32()),
        ("log_probability", pa.float64()),
        ("reverse_log_probability", pa.float64()),
        ("status", pa.string()),
        ("reverse_status", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class SyntheticRow:
    """A row of a shard: an image pair with its generated texts and the filters' decision.

    Attributes:
        number: Index of the pair in the run.
        modification: Text from reference to target.
        decoding: Decoding settings, as JSON.
        reverse_modification: Text from target to reference; None in a run of one direction.
        rank: Rank of the target in the round trip, 1 is best; None without a round trip.
        reverse_rank: Rank of the reference for the reverse text.
        neighbours: Number of other images that the target was ranked among.
        reverse_neighbours: Number of other images that the reference was ranked among.
        log_probability: Mean log-probability of the text's tokens; None if not requested.
        reverse_log_probability: Mean log-probability of the reverse text's tokens.
        status: "kept", or the reason for dropping the pair; None while the run is unfinished.
        reverse_status: The same for the reverse text of a kept pair; None for a dropped pair.
    """

    number: int
    reference: str
    target: str
    modification: str
    decoding: str
    reverse_modification: str | None = None
    rank: int | None = None
    reverse_rank: int | None = None
    neighbours: int | None = None
    reverse_neighbours: int | None = None
    log_probability: float | None = None
    reverse_log_probability: float | None = None
    status: str | None = None
    reverse_status: str | None = None


@dataclass(frozen=True)
class ReverseTexts:
    """Generated reverse texts of human triplets, by pair (reference, target).

    Attributes:
        kept: The texts that the filters kept, by pair.
        requested: All pairs of the run.
        skipped: Names of skipped images; their pairs have no texts.
    """

    kept: Mapping[tuple[str, str], str]
    requested: Set[tuple[str, str]]
    skipped: Set[str]

    def covers(self, triplet: Triplet) -> bool:
        """Return whether ``triplet`` was in the run's input, whether or not its text was kept."""
        images = {triplet.reference, triplet.target}
        return (triplet.reference, triplet.target) in self.requested or not images.isdisjoint(self.skipped)


def write_rows(path: Path, rows: list[SyntheticRow]) -> None:
    """Write ``rows`` to a Parquet file, atomically."""
    columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(SyntheticRow)}
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pydict(columns, schema=SCHEMA), temporary)


def read_rows(path: Path) -> list[SyntheticRow]:
    """Return the rows of a Parquet file written by :func:`write_rows`.

    Raises:
        InputError: The file is damaged, or has other columns.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet ({error}).", "Remove it and run the same `likebut synthesize` again."
        ) from None
    if table.column_names != SCHEMA.names:
        raise InputError(
            f"{path} does not have the columns of a shard.", "Give the output folder of `likebut synthesize`."
        )
    return [SyntheticRow(**row) for row in table.to_pylist()]


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:05d}.parquet"


def read_shards(folder: Path, job: str) -> Iterator[SyntheticRow]:
    """Yield all rows of a finished run, in order.

    Args:
        folder: Output folder of `likebut synthesize`.
        job: The expected job: :data:`PAIRS_JOB` or :data:`REVERSE_JOB`.

    Raises:
        InputError: The folder has no run, the run is unfinished or of another job, or a shard is missing.
    """
    if not (folder / SETTINGS_NAME).is_file():
        raise InputError(
            f"{folder} has no synthetic triplets.", "Generate them with `likebut synthesize`.", "no-synthesis"
        )
    if not (folder / SUMMARY_NAME).is_file():
        raise InputError(
            f"The synthesis in {folder} is not finished.",
            "Run the same `likebut synthesize` again; it resumes.",
            "unfinished-synthesis",
        )
    found = read_json(folder / SETTINGS_NAME).get("job")
    if found != job:
        raise InputError(f"{folder} has {found}, not {job}.", "Give the folder of a run of that kind.", "wrong-job")
    for number in range(read_json(folder / SUMMARY_NAME)["shards"]):
        path = folder / shard_name(number)
        if not path.is_file():
            raise InputError(
                f"The shard {path} is missing.", "Run the same `likebut synthesize` again.", "missing-shard"
            )
        yield from read_rows(path)


def read_synthetic(folder: Path, both_directions: bool = True) -> list[Triplet]:
    """Return the training triplets of a finished run, one per kept text.

    The two directions of a pair are separate triplets; each has the other's text as its reverse modification text if
    that was kept. Training must not add the opposite direction again.

    Args:
        folder: Output folder of `likebut synthesize`.
        both_directions: Whether to include triplets from target to reference, which is beyond the paper.

    Raises:
        InputError: The folder has no finished run over pairs.
    """
    return [triplet for row in read_shards(folder, PAIRS_JOB) for triplet in _triplets(row, both_directions)]


def read_reverse_texts(folder: Path) -> ReverseTexts:
    """Return the reverse texts of a finished run.

    Raises:
        InputError: The folder has no finished run over human triplets.
    """
    rows = {(row.target, row.reference): row for row in read_shards(folder, REVERSE_JOB)}
    kept = {pair: row.modification for pair, row in rows.items() if row.status == KEPT}
    skipped = {image["image"] for image in skipped_in(read_json(folder / SUMMARY_NAME))}
    return ReverseTexts(kept, rows.keys(), skipped)


def fill_reverse_texts(triplets: Sequence[Triplet], texts: ReverseTexts) -> list[Triplet]:
    """Return the triplets, with missing reverse texts filled from ``texts`` where it has them."""
    return [
        replace(
            triplet,
            reverse_modification=triplet.reverse_modification or texts.kept.get((triplet.reference, triplet.target)),
        )
        for triplet in triplets
    ]


def with_reverse_texts(triplets: Sequence[Triplet], texts: ReverseTexts) -> tuple[list[Triplet], list[Triplet]]:
    """Return the triplets with a reverse text, their own or from ``texts``, and the triplets without one."""
    filled = fill_reverse_texts(triplets, texts)
    return [each for each in filled if each.reverse_modification], [
        triplet for triplet, each in zip(triplets, filled, strict=True) if not each.reverse_modification
    ]


def _triplets(row: SyntheticRow, both_directions: bool) -> Iterator[Triplet]:
    if row.status != KEPT:
        return
    reverse = row.reverse_modification if row.reverse_status == KEPT else None
    name = f"synthetic-{row.number}"
    yield Triplet(row.reference, row.target, row.modification, id=name, reverse_modification=reverse)
    if reverse is not None and both_directions:
        yield Triplet(row.target, row.reference, reverse, id=f"{name}-reversed", reverse_modification=row.modification)
