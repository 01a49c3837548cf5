import json
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from likebut.training.metrics_log import MetricsLog, read_metrics


def test_metrics_are_written_to_both_files(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log:
        log.write(10, {"loss": 2.5})
        log.write(20, {"loss": 1.5})
    assert read_metrics(tmp_path) == [{"step": 10, "loss": 2.5}, {"step": 20, "loss": 1.5}]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 2.5), (20, 1.5)]


def test_a_resume_drops_later_steps_and_an_incomplete_line(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log:
        for step in (10, 20, 30):
            log.write(step, {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as handle:
        handle.write('{"step": 40, "lo')
    with MetricsLog(tmp_path, resumed_step=20) as log:
        log.write(30, {"loss": 3.0})
    assert [(row["step"], row["loss"]) for row in read_metrics(tmp_path)] == [(10, 10.0), (20, 20.0), (30, 3.0)]
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_disabled_log_writes_nothing(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "log", enabled=False) as log:
        log.write(1, {"loss": 1.0})
    assert not (tmp_path / "log").exists() and read_metrics(tmp_path / "log") == []
