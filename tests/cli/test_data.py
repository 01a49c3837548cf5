import json
from pathlib import Path

from helpers.command import Command

SMALL = ("--train-families", "1", "--val-families", "0", "--test-families", "1", "--pool-families", "1")


def test_sample_then_verify(likebut: Command, tmp_path: Path) -> None:
    made = likebut("data", "sample", tmp_path / "out", *SMALL, "--json")
    assert made.code == 0
    assert json.loads(made.out) == {"folder": str(tmp_path / "out"), "images": 18, "triplets": 12}
    checked = likebut("data", "verify", tmp_path / "out", "--json")
    assert checked.code == 0
    summary = json.loads(checked.out)
    assert (summary["images"], summary["triplets"], summary["faults"]) == (18, 12, 0)


def test_sample_refuses_another_seed(likebut: Command, tmp_path: Path) -> None:
    likebut("data", "sample", tmp_path / "out", *SMALL)
    refused = likebut("data", "sample", tmp_path / "out", *SMALL, "--seed", "1")
    refused.require_refused("seed", "0", "1")


def test_verify_lists_faults_and_exits_with_2(likebut: Command, tmp_path: Path) -> None:
    likebut("data", "sample", tmp_path / "out", *SMALL)
    (tmp_path / "out" / "images" / "test" / "0000-0.png").write_bytes(b"")
    with (tmp_path / "out" / "triplets.jsonl").open("a") as lines:
        lines.write('{"split": "test"}\n')
    result = likebut("data", "verify", tmp_path / "out")
    assert result.code == 2
    assert "fault: images/test/0000-0.png: " in result.out
    faults = [line for line in result.out.splitlines() if line.startswith("fault: triplets.jsonl line 13: ")]
    assert len(faults) == 3 and any("reference" in fault for fault in faults)
    assert result.out.splitlines()[-1].startswith("18 images, 12 triplets: 4 faults, 0 warnings")


DATA_SETS = ["sample", "folder", "cirr", "fashioniq", "circo", "icir", "pinpoint", "genecis", "clothing"]


def test_info_lists_every_data_set(likebut: Command) -> None:
    listed = json.loads(likebut("data", "info", "--json").out)
    assert [item["name"] for item in listed] == DATA_SETS
    assert all(item["licence"] and item["source"] and item["layout"] for item in listed)


def test_info_of_one_data_set(likebut: Command) -> None:
    assert "CC0-1.0" in likebut("data", "info", "clothing").out
    unknown = likebut("data", "info", "cirrr")
    unknown.require_refused("cirrr", "cirr")
