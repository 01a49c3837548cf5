import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.synthesis_fakes import pair
from likebut.errors import InputError
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.pair_file import read_pairs, require_pair_file_name, write_pairs


def table(path: Path, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_written_pairs_are_read_back(tmp_path: Path) -> None:
    pairs = [
        MinedPair("a/é.png", "b.jpg", 0.75, ("b.jpg", "c.jpg"), ("a/é.png",)),
        MinedPair("b.jpg", "c.jpg", 0.5, (), ("a/é.png",)),
    ]
    write_pairs(tmp_path / "pairs.parquet", pairs, {"settings": {"neighbours": 2}})
    assert read_pairs(tmp_path / "pairs.parquet") == pairs
    assert json.loads((tmp_path / "pairs.json").read_text()) == {"settings": {"neighbours": 2}}
    metadata = pq.read_schema(tmp_path / "pairs.parquet").metadata
    assert json.loads(metadata[b"likebut"]) == {"settings": {"neighbours": 2}}


def test_files_are_deterministic(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_pairs(tmp_path / f"{name}.parquet", [pair(1, 2, [3])], {"a": 1})
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_only_two_columns_are_required(tmp_path: Path) -> None:
    path = table(tmp_path / "own.parquet", reference=["a", "b"], target=["b", "c"], note=["x", "y"])
    assert read_pairs(path) == [MinedPair("a", "b"), MinedPair("b", "c")]


@pytest.mark.parametrize(
    ("columns", "code", "named"),
    [
        ({"reference": ["a"]}, "missing-column", "target"),
        ({"reference": [1], "target": ["b"]}, "missing-column", "reference"),
        ({"reference": ["a", "b"], "target": ["b", "a"]}, "repeated-pair", "row 2"),
        ({"reference": ["a"], "target": ["a"]}, "invalid-pair", "row 1"),
        ({"reference": ["a", "b"], "target": ["b", None]}, "invalid-pair", "row 2"),
        ({"reference": pa.array([], pa.string()), "target": pa.array([], pa.string())}, "no-pairs", "pairs.parquet"),
    ],
)
def test_invalid_files_are_input_errors(
    tmp_path: Path, columns: dict[str, list[object]], code: str, named: str
) -> None:
    with pytest.raises(InputError) as error:
        read_pairs(table(tmp_path / "pairs.parquet", **columns))
    assert error.value.code == code and named in error.value.problem


def test_missing_and_damaged_files_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_pairs(tmp_path / "absent.parquet")
    assert error.value.code == "missing-file" and "absent.parquet" in error.value.problem
    (tmp_path / "text.parquet").write_text("reference,target\n")
    with pytest.raises(InputError) as error:
        read_pairs(tmp_path / "text.parquet")
    assert error.value.code == "not-parquet" and "text.parquet" in error.value.problem


def test_invalid_file_names_are_input_errors(tmp_path: Path) -> None:
    require_pair_file_name(tmp_path / "pairs.parquet")
    (tmp_path / "folder.parquet").mkdir()
    for name in ("pairs.json", "pairs", "folder.parquet"):
        with pytest.raises(InputError) as error:
            require_pair_file_name(tmp_path / name)
        assert error.value.code == "not-a-pair-file-name" and name in error.value.problem
