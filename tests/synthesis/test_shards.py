import re
from pathlib import Path

import pytest

from helpers.synthesis_fakes import NumberWriter, chain, filters, tools
from likebut.data.synthetic_triplets import read_synthetic
from likebut.data.triplets import Triplet
from likebut.errors import InputError
from likebut.synthesis.run import synthesize
from likebut.synthesis.writing import WritingSettings


def write(folder: Path, job: str = "pairs", texts: dict[tuple[int, int], str] | None = None) -> None:
    synthesize(folder, chain(3), tools(NumberWriter(texts)), WritingSettings(shard_size=2), filters(), {"job": job})


def test_both_directions_of_kept_texts(tmp_path: Path) -> None:
    write(tmp_path, texts={(1, 0): "", (1, 2): ""})
    assert read_synthetic(tmp_path) == [
        Triplet("0", "1", "make 0 into 1", id="synthetic-0"),
        Triplet("2", "3", "make 2 into 3", id="synthetic-2", reverse_modification="make 3 into 2"),
        Triplet("3", "2", "make 3 into 2", id="synthetic-2-reversed", reverse_modification="make 2 into 3"),
    ]


def test_forward_direction_only(tmp_path: Path) -> None:
    write(tmp_path, texts={(1, 2): ""})
    found = read_synthetic(tmp_path, both_directions=False)
    assert [(each.reference, each.target, each.reverse_modification) for each in found] == [
        ("0", "1", "make 1 into 0"),
        ("2", "3", "make 3 into 2"),
    ]


def test_an_unfinished_run_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        read_synthetic(tmp_path)
    write(tmp_path)
    (tmp_path / "shard-00001.parquet").unlink()
    with pytest.raises(InputError, match="shard-00001.parquet"):
        read_synthetic(tmp_path)
    (tmp_path / "summary.json").unlink()
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        read_synthetic(tmp_path)


def test_a_run_of_another_job_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, job="reverse texts")
    with pytest.raises(InputError, match="reverse texts.*pairs"):
        read_synthetic(tmp_path)


def test_a_damaged_shard_is_an_input_error(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "shard-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="shard-00000.parquet"):
        read_synthetic(tmp_path)
