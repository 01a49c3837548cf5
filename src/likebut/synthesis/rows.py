"""A row of a shard: one pair with both of its texts, how they were written, and what became of them."""

from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from likebut.errors import InputError
from likebut.files import atomic_path


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
