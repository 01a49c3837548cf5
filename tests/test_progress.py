import io
import json

import pytest

from likebut import progress
from likebut.progress import notice, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_each_step_is_a_line_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 104.0, 110.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with track("embedding images", total=50, unit="images", done=10, stream=stream) as meter:
        meter.advance(8)
        meter.advance(2, loss=0.12345678)
    first, second = map(json.loads, stream.getvalue().splitlines())
    # What an earlier run did counts as done, and not for the rate.
    assert first == {
        "doing": "embedding images",
        "done": 18,
        "total": 50,
        "unit": "images",
        "rate": 2.0,
        "seconds_left": 16.0,
    }
    assert (second["done"], second["rate"], second["seconds_left"], second["loss"]) == (20, 1.0, 30.0, 0.123457)


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    with track("training", total=3, unit="steps", stream=stream) as meter:
        for step in range(3):
            meter.advance(loss=float(step))
    shown = stream.getvalue()
    assert "training" in shown and "3/3" in shown and "steps/s" in shown and "loss 2" in shown
    assert "{" not in shown


def test_without_a_stream_it_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with track("checking", total=1, unit="files") as meter:
        meter.advance()
    written = capsys.readouterr()
    assert written.out == "" and json.loads(written.err)["doing"] == "checking"


def test_no_progress_has_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with track("waiting", total=5, unit="files", stream=stream) as meter:
        meter.advance(0)
    assert json.loads(stream.getvalue())["seconds_left"] is None


def test_a_notice_is_a_line_on_a_terminal_and_json_elsewhere() -> None:
    terminal, elsewhere = Terminal(), io.StringIO()
    for stream in (terminal, elsewhere):
        notice("3 images cannot be used.", stream)
    assert terminal.getvalue() == "3 images cannot be used.\n"
    assert json.loads(elsewhere.getvalue()) == {"notice": "3 images cannot be used."}
