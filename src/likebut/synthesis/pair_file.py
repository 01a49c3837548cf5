"""Files of mined pairs: ``pairs.parquet``, with the mining's settings in its metadata and in ``pairs.json``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from likebut.errors import InputError
from likebut.files import atomic_path, require_place, write_json
from likebut.synthesis.mining import MinedPair

_METADATA_KEY = b"likebut"
_MINE = "Mine pairs with `likebut pairs FOLDER --out FILE`."
_NAMES = pa.list_(pa.string())
_SCHEMA = pa.schema(
    [
        ("reference", pa.string()),
        ("target", pa.string()),
        ("similarity", pa.float32()),
        ("reference_neighbours", _NAMES),
        ("target_neighbours", _NAMES),
    ]
)


def require_pair_file_name(path: Path) -> None:
    """Check that pairs can be written to ``path``, before mining.

    Raises:
        InputError: The name does not end in .parquet, is that of a folder, or is in a folder that cannot be written.
    """
    if path.suffix != ".parquet" or path.is_dir():
        raise InputError(
            f"{path} cannot be a file of pairs.", "Give a file name that ends in .parquet.", code="not-a-pair-file-name"
        )
    require_place(path)


def write_pairs(path: Path, pairs: Sequence[MinedPair], description: Mapping[str, Any]) -> None:
    """Write ``pairs`` and ``description`` (settings, counts) to a Parquet file, and the latter to JSON, atomically."""
    columns = {name: [getattr(pair, name) for pair in pairs] for name in _SCHEMA.names}
    schema = _SCHEMA.with_metadata({_METADATA_KEY: json.dumps(description, ensure_ascii=False).encode()})
    write_json(path.with_suffix(".json"), description)
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pydict(columns, schema=schema), temporary)


def read_pairs(path: Path) -> list[MinedPair]:
    """Read pairs from a Parquet file; only the columns ``reference`` and ``target`` are required.

    Raises:
        InputError: The file is missing, not Parquet, lacks a column, or has no pair, or a pair twice.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist.", _MINE, code="missing-file")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} is not Parquet ({error}).", "Give a file of `likebut pairs`.", code="not-parquet"
        ) from None
    for name in ("reference", "target"):
        if name not in table.column_names or not _is_text(table.schema.field(name).type):
            raise InputError(
                f'{path} has no text column "{name}".', "Give a file of `likebut pairs`.", code="missing-column"
            )
    known = [name for name in _SCHEMA.names if name in table.column_names]
    pairs = [_pair(row) for row in table.select(known).to_pylist()]
    _check(path, pairs)
    return pairs


def split_of_pairs(path: Path) -> str | None:
    """Return the split that the pairs of a Parquet file were mined from; None if unknown."""
    described = json.loads((pq.read_schema(path).metadata or {}).get(_METADATA_KEY, b"{}"))
    split = described.get("split") if isinstance(described, dict) else None
    return split if isinstance(split, str) else None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _pair(row: dict[str, Any]) -> MinedPair:
    neighbours = {name: tuple(row.get(name) or ()) for name in ("reference_neighbours", "target_neighbours")}
    return MinedPair(row["reference"], row["target"], row.get("similarity"), **neighbours)


def _check(path: Path, pairs: Sequence[MinedPair]) -> None:
    if not pairs:
        raise InputError(f"{path} has no pairs.", _MINE, code="no-pairs")
    seen: set[frozenset[str]] = set()
    for number, pair in enumerate(pairs, start=1):
        if not pair.reference or not pair.target or pair.reference == pair.target:
            raise InputError(
                f"{path} row {number} pairs {pair.reference!r} with {pair.target!r}.",
                "Give two different images per row.",
                code="invalid-pair",
            )
        both = frozenset((pair.reference, pair.target))
        if both in seen:
            raise InputError(
                f"{path} row {number} repeats the pair {pair.reference}, {pair.target}.",
                "Give each pair once.",
                code="repeated-pair",
            )
        seen.add(both)
