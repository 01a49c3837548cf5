"""A row of a shard: one pair with both of its texts, how they were written, and what became of them."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from likebut.data.images import skipped_in
from likebut.data.triplets import Triplet
from likebut.errors import InputError
from likebut.files import atomic_path, read_json


@dataclass(frozen=True, slots=True)
class SyntheticRow:
    """One pair.

    Attributes:
        number: The pair's place in the run.
        modification: From reference to target.
        decoding: Settings of the decoding, as JSON.
        reverse_modification: From target to reference; None in a run of one direction.
        rank: Of the target in the round trip, 1 the best; None if there was none.
        reverse_rank: Likewise of the reference, by the reverse text.
        neighbours: How many other images the target was ranked among.
        reverse_neighbours: Likewise for the reference.
        log_probability: The language model's mean over the text's tokens; None if it was not asked for.
        reverse_log_probability: Likewise of the reverse text.
        status: "kept", or the reason why the pair is not; None while the run goes on.
        reverse_status: Likewise for the reverse text of a pair that is kept; None of one that is not.
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


def write_rows(path: Path, rows: list[SyntheticRow]) -> None:
    """Write ``rows`` to a Parquet file, atomically."""
    columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(SyntheticRow)}
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pydict(columns, schema=SCHEMA), temporary)


def read_rows(path: Path) -> list[SyntheticRow]:
    """Return the rows in a Parquet file that :func:`write_rows` wrote.

    Raises:
        InputError: The file is damaged or holds something else.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet ({error}).", "Remove it and write it again.") from None
    if table.column_names != SCHEMA.names:
        raise InputError(f"{path} has other columns than a shard's.", "Give a folder of `likebut synthesize`.")
    return [SyntheticRow(**row) for row in table.to_pylist()]


DRAFTS = "drafts"
SETTINGS_NAME = "settings.json"
SUMMARY_NAME = "summary.json"
PAIRS_JOB = "pairs"
REVERSE_JOB = "reverse texts"


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:05d}.parquet"


def read_shards(folder: Path, job: str) -> Iterator[SyntheticRow]:
    """Yield every row of a finished run, in order.

    Args:
        folder: What `likebut synthesize` wrote.
        job: What the run must have been for: :data:`PAIRS_JOB` or :data:`REVERSE_JOB`.

    Raises:
        InputError: The folder is no run's, the run is unfinished or of another job, or a shard is missing.
    """
    if not (folder / SETTINGS_NAME).is_file():
        raise InputError(f"{folder} holds no synthetic triplets.", "Write them with `likebut synthesize`.")
    if not (folder / SUMMARY_NAME).is_file():
        raise InputError(
            f"The synthesis in {folder} is not finished.", "Run the same `likebut synthesize` again; it goes on."
        )
    found = read_json(folder / SETTINGS_NAME).get("job")
    if found != job:
        raise InputError(f"{folder} holds {found}, not {job}.", "Give a folder of the right kind of run.")
    for number in range(read_json(folder / SUMMARY_NAME)["shards"]):
        path = folder / shard_name(number)
        if not path.is_file():
            raise InputError(f"The shard {path} is missing.", "Run the same `likebut synthesize` again.")
        yield from read_rows(path)


def read_synthetic(folder: Path, both_directions: bool = True) -> list[Triplet]:
    """Return the training triplets of a finished run, one for each text that was kept.

    Both directions of a pair are triplets of their own, each with the other's text as its reverse modification text
    where that was kept; training must not turn them round once more.

    Args:
        folder: What `likebut synthesize` wrote.
        both_directions: Whether there are triplets from target to reference, which is beyond the paper.

    Raises:
        InputError: The folder holds no finished run over pairs.
    """
    return [triplet for row in read_shards(folder, PAIRS_JOB) for triplet in _triplets(row, both_directions)]


def _triplets(row: SyntheticRow, both_directions: bool) -> Iterator[Triplet]:
    if row.status != KEPT:
        return
    reverse = row.reverse_modification if row.reverse_status == KEPT else None
    name = f"synthetic-{row.number}"
    yield Triplet(row.reference, row.target, row.modification, id=name, reverse_modification=reverse)
    if reverse is not None and both_directions:
        yield Triplet(row.target, row.reference, reverse, id=f"{name}-reversed", reverse_modification=row.modification)


KEPT = "kept"


@dataclass(frozen=True)
class ReverseTexts:
    """What a finished run over human triplets came to; pairs are the triplets' (reference, target).

    Attributes:
        kept: The texts that the filters kept, by pair.
        asked: Every pair that was written about.
        skipped: Names of the images that could not be used; their pairs were not written about.
    """

    kept: Mapping[tuple[str, str], str]
    asked: Set[tuple[str, str]]
    skipped: Set[str]

    def were_about(self, triplet: Triplet) -> bool:
        """Return whether the run was to write about ``triplet``, whatever came of it."""
        named = {triplet.reference, triplet.target}
        return (triplet.reference, triplet.target) in self.asked or not named.isdisjoint(self.skipped)


def read_reverse_texts(folder: Path) -> ReverseTexts:
    """Return the reverse texts in a run's folder.

    Raises:
        InputError: The folder holds no finished run over human triplets.
    """
    rows = {(row.target, row.reference): row for row in read_shards(folder, REVERSE_JOB)}
    kept = {pair: row.modification for pair, row in rows.items() if row.status == KEPT}
    skipped = {image["image"] for image in skipped_in(read_json(folder / SUMMARY_NAME))}
    return ReverseTexts(kept, rows.keys(), skipped)


def fill_reverse_texts(triplets: Sequence[Triplet], texts: ReverseTexts) -> list[Triplet]:
    """Return the triplets, those that lack a reverse text with what ``texts`` has for them, if it has."""
    return [
        replace(
            triplet,
            reverse_modification=triplet.reverse_modification or texts.kept.get((triplet.reference, triplet.target)),
        )
        for triplet in triplets
    ]


def with_reverse_texts(triplets: Sequence[Triplet], texts: ReverseTexts) -> tuple[list[Triplet], list[Triplet]]:
    """Return the triplets that have a reverse text, of their own or in ``texts``, and those that have none."""
    filled = fill_reverse_texts(triplets, texts)
    return [each for each in filled if each.reverse_modification], [
        triplet for triplet, each in zip(triplets, filled, strict=True) if not each.reverse_modification
    ]
