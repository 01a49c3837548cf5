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


def test_one_settings_give_one_file_to_the_byte(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_pairs(tmp_path / f"{name}.parquet", [pair(1, 2, [3])], {"a": 1})
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_two_columns_are_enough(tmp_path: Path) -> None:
    path = table(tmp_path / "own.parquet", reference=["a", "b"], target=["b", "c"], note=["x", "y"])
    assert read_pairs(path) == [MinedPair("a", "b"), MinedPair("b", "c")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"reference": ["a"]}, 'no column "target"'),
        ({"reference": [1], "target": ["b"]}, 'no column "reference" of texts'),
        ({"reference": ["a", "b"], "target": ["b", "a"]}, "row 2 pairs b with a once more"),
        ({"reference": ["a"], "target": ["a"]}, "row 1 pairs 'a' with 'a'"),
        ({"reference": ["a", "b"], "target": ["b", None]}, "row 2 pairs 'b' with None"),
        ({"reference": pa.array([], pa.string()), "target": pa.array([], pa.string())}, "holds no pairs"),
    ],
)
def test_wrong_files_are_input_errors(tmp_path: Path, columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pairs(table(tmp_path / "pairs.parquet", **columns))


def test_missing_and_damaged_files_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_pairs(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("reference,target\n")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_pairs(tmp_path / "text.parquet")


def test_the_file_name_is_checked_before_the_work(tmp_path: Path) -> None:
    require_pair_file_name(tmp_path / "pairs.parquet")
    (tmp_path / "folder.parquet").mkdir()
    for name in ("pairs.json", "pairs", "folder.parquet"):
        with pytest.raises(InputError, match="cannot be a file of pairs"):
            require_pair_file_name(tmp_path / name)
