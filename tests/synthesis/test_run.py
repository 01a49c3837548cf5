import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from helpers.processes import child_environment
from helpers.synthesis_fakes import NumberTokens, NumberWriter, chain, filters, pair, tools
from likebut.data.images import SkippedImage
from likebut.errors import ResumeError
from likebut.generator.decoding import Decoding
from likebut.models import devices
from likebut.models.devices import MatmulSpeed
from likebut.synthesis.run import Summary, run_precision, synthesize, write_draft
from likebut.synthesis.writing import Tools, WritingSettings, plan_shards

WRITING = WritingSettings(shard_size=4, batch_size=2, decoding=Decoding(method="greedy"))
IDENTITY = {"job": "pairs", "generator": {"weights_sha256": "1"}}


def run(folder: Path, writer: NumberWriter | None = None, pairs: int = 10, **changes: object) -> Summary:
    arguments = {"writing": WRITING, "filters": filters(), "identity": IDENTITY, **changes}
    return synthesize(folder, chain(pairs), tools(writer), **arguments)


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "writer.lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(files)}


def test_a_run(tmp_path: Path) -> None:
    writer = NumberWriter({(1, 2): "", (3, 4): "bad", (4, 3): "bad", (6, 5): "red red red"})
    summary = run(tmp_path, writer, filters=filters(["bad"]), skipped=[SkippedImage("x.png", "The file is empty.")])
    assert (summary.pairs, summary.kept, summary.reverse_kept, summary.triplets, summary.shards) == (10, 8, 7, 15, 3)
    assert summary.reasons == {"kept": 8, "empty": 1, "blocked": 1}
    assert summary.reverse_reasons == {"kept": 7, "repeated": 1}
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "pairs": 10,
        "kept": 8,
        "reverse_kept": 7,
        "reasons": {"kept": 8, "empty": 1, "blocked": 1},
        "reverse_reasons": {"kept": 7, "repeated": 1},
        "shards": 3,
        "skipped": [{"image": "x.png", "reason": "The file is empty."}],
        "triplets": 15,
    }
    rows = [row for number in range(3) for row in pq.read_table(tmp_path / f"shard-{number:05d}.parquet").to_pylist()]
    assert [row["number"] for row in rows] == list(range(10))
    assert rows[5] == {
        "number": 5,
        "reference": "5",
        "target": "6",
        "modification": "make 5 into 6",
        "decoding": WRITING.decoding.model_dump_json(),
        "reverse_modification": "red red red",
        "status": "kept",
        "reverse_status": "repeated",
        **dict.fromkeys(["rank", "reverse_rank", "neighbours", "reverse_neighbours"]),
        **dict.fromkeys(["log_probability", "reverse_log_probability"]),
    }


def test_an_interrupted_run_is_resumed(tmp_path: Path) -> None:
    run(tmp_path / "undisturbed")
    stopped = NumberWriter()
    stopped.stop_after = 3
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stopped)
    assert sorted(content(tmp_path / "stopped")) == ["drafts/shard-00000.parquet", "settings.json"]
    writer = NumberWriter()
    run(tmp_path / "stopped", writer)
    assert sum(size for size, _ in writer.batches) == 2 * 6
    assert content(tmp_path / "stopped") == content(tmp_path / "undisturbed")


def test_auto_precision_is_the_one_the_run_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "measure_matmul", lambda: MatmulSpeed(fp32=1.0, bf16=9.0))
    assert run_precision(tmp_path, "auto", torch.device("cpu")) == "bf16"
    run(tmp_path, writing=WRITING.model_copy(update={"precision": "bf16"}))
    monkeypatch.setattr(devices, "measure_matmul", lambda: MatmulSpeed(fp32=9.0, bf16=1.0))
    assert run_precision(tmp_path, "auto", torch.device("cpu")) == "bf16"
    assert run_precision(tmp_path, "fp32", torch.device("cpu")) == "fp32"


def test_a_finished_run_is_not_written_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    before, writer = content(tmp_path), NumberWriter()
    assert run(tmp_path, writer) == first
    assert writer.batches == [] and content(tmp_path) == before


def test_temporary_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / "drafts").mkdir()
    for name in (".summary.json.0123456789ab.tmp", "drafts/.shard-00000.parquet.0123456789ab.tmp"):
        (tmp_path / name).write_bytes(b"half")
    run(tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))


class OtherContents(NumberTokens):
    def content(self, name: str) -> str:
        return f"other content of {name}"


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"writing": WRITING.model_copy(update={"batch_size": 3})}, ["writing.batch_size"]),
        (
            {"writing": WRITING.model_copy(update={"decoding": Decoding(beams=3)})},
            ["writing.decoding.beams", "writing.decoding.method"],
        ),
        ({"filters": filters(round_trip_rank=2)}, ["filters.round_trip_rank"]),
        ({"filters": filters(["more"])}, ["filters.blocklist"]),
        ({"identity": {**IDENTITY, "generator": {"weights_sha256": "2"}}}, ["generator.weights_sha256"]),
        ({"pairs": 9}, ["pairs"]),
    ],
)
def test_other_settings_are_refused_and_change_nothing(
    tmp_path: Path, changes: dict[str, object], keys: list[str]
) -> None:
    run(tmp_path)
    before = content(tmp_path)
    with pytest.raises(ResumeError) as caught:
        run(tmp_path, **changes)
    assert all(key in caught.value.problem for key in keys)
    assert content(tmp_path) == before


def test_other_images_under_the_same_names_are_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(ResumeError, match="pairs"):
        synthesize(tmp_path, chain(10), Tools(NumberWriter(), OtherContents()), WRITING, filters(), IDENTITY)


def test_refiltering_writes_no_texts(tmp_path: Path) -> None:
    run(tmp_path)
    writer = NumberWriter()
    strict = filters(["make 3"])
    assert run(tmp_path, writer, filters=strict, refilter=True).reasons == {"kept": 9, "blocked": 1}
    assert writer.batches == []
    run(tmp_path / "fresh", filters=strict)
    fresh = {name: data for name, data in content(tmp_path / "fresh").items()}
    assert {name: data for name, data in content(tmp_path).items() if not name.startswith("fresh")} == fresh
    with pytest.raises(ResumeError, match="batch_size"):
        run(tmp_path, writing=WRITING.model_copy(update={"batch_size": 3}), refilter=True)


def test_drafts_of_a_cluster_are_used(tmp_path: Path) -> None:
    run(tmp_path / "here")
    for work in plan_shards(chain(10), WRITING)[::-1]:
        write_draft(work, tools(), tmp_path / "cluster")
    writer = NumberWriter()
    run(tmp_path / "cluster", writer)
    assert writer.batches == [] and content(tmp_path / "cluster") == content(tmp_path / "here")


def test_numbers_of_pairs_around_the_shard_size(tmp_path: Path) -> None:
    for pairs, shards in ((1, 1), (4, 1), (5, 2), (8, 2)):
        summary = run(tmp_path / str(pairs), pairs=pairs)
        assert (summary.pairs, summary.shards, summary.triplets) == (pairs, shards, 2 * pairs)


SCRIPT = """
import sys
from pathlib import Path
from synthesis.test_run import WRITING, IDENTITY, synthesize, chain, tools, filters
from helpers.synthesis_fakes import NumberWriter
synthesize(Path(sys.argv[1]), chain(40), tools(NumberWriter(seconds=0.05)), WRITING, filters(), IDENTITY)
"""


def test_a_killed_run_ends_with_the_same_shards(tmp_path: Path) -> None:
    run(tmp_path / "undisturbed", pairs=40)
    random_source, killed = random.Random(3), tmp_path / "killed"
    for drafts in (2, 6):
        process = _start(killed)
        _wait_for_drafts(process, killed, drafts)
        time.sleep(random_source.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (killed / "summary.json").exists()
    assert _start(killed).wait() == 0
    assert content(killed) == content(tmp_path / "undisturbed")


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env=child_environment(OMP_NUM_THREADS="1"),
        stderr=subprocess.DEVNULL,
    )


def _wait_for_drafts(process: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    while process.poll() is None and len(list(folder.glob("drafts/shard-*"))) < count:
        time.sleep(0.001)


def test_neighbours_are_settings_only_of_a_round_trip(tmp_path: Path) -> None:
    pairs = [pair(0, 1, around=[2]), pair(1, 2)]
    synthesize(tmp_path, pairs, tools(), WRITING, filters(), IDENTITY)
    synthesize(tmp_path, [pair(0, 1, around=[3]), pair(1, 2)], tools(), WRITING, filters(), IDENTITY)
