"""Reading a finished run's shards back, as training triplets."""

from collections.abc import Iterator
from pathlib import Path

from likebut.errors import InputError
from likebut.files import read_json
from likebut.synthesis.filters import KEPT
from likebut.synthesis.rows import SyntheticRow, read_rows
from likebut.triplets import Triplet

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
