import io
import json
import logging

import pytest

from likebut import progress
from likebut.progress import notice, progress_shown, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Stands in for ``time.monotonic``; a test sets ``now``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_outside_a_terminal_a_line_is_json(clock: Clock) -> None:
    stream = io.StringIO()
    with track("embedding images", 50, "images", done=10, stream=stream, show_progress=True) as meter:
        clock.now = 104.0
        meter.advance(8)
        clock.now = 115.0
        meter.advance(2, loss=0.12345678)
    first, second = lines(stream)
    # Steps of an earlier run count as done, but not in the rate.
    assert first == {
        "doing": "embedding images",
        "done": 18,
        "total": 50,
        "unit": "images",
        "rate": 2.0,
        "seconds_left": 16.0,
    }
    assert (second["done"], second["rate"], second["seconds_left"], second["loss"]) == (20, 0.67, 45.0, 0.123457)


def test_lines_are_ten_seconds_apart_except_the_first_and_the_last(clock: Clock) -> None:
    stream = io.StringIO()
    with track("checking images", 2936, "images", stream=stream, show_progress=True) as meter:
        for step in range(2936):
            clock.now = 100.0 + step * 0.01  # 29.35 seconds in all
            meter.advance()
    assert [line["done"] for line in lines(stream)] == [1, 1001, 2001, 2936]


def test_the_last_state_is_written_when_the_block_fails(clock: Clock) -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), track("work", 9, "steps", stream=stream, show_progress=True) as meter:
        meter.advance()
        meter.advance(loss=0.5)
        raise ZeroDivisionError
    assert [(line["done"], line.get("loss")) for line in lines(stream)] == [(1, None), (2, 0.5)]


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    with track("training", total=3, unit="steps", stream=stream, show_progress=True) as meter:
        for step in range(3):
            meter.advance(loss=float(step))
    shown = stream.getvalue()
    assert "training" in shown and "3/3" in shown and "steps/s" in shown and "loss 2" in shown
    assert "{" not in shown


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_nothing_is_written_unless_progress_is_enabled(stream: io.StringIO) -> None:
    with track("embedding images", total=2, unit="images", stream=stream) as meter:
        meter.advance()
    with progress_shown(), track("embedding images", 2, "images", stream=stream, show_progress=False) as meter:
        meter.advance()
    assert stream.getvalue() == "" and meter.done == 1


def test_progress_shown_ends_with_its_block() -> None:
    stream = io.StringIO()
    with progress_shown():
        with progress_shown(False), track("hidden", 1, "steps", stream=stream) as meter:
            meter.advance()
        with progress_shown(None), track("shown", 1, "steps", stream=stream) as meter:
            meter.advance()
    with track("hidden", 1, "steps", stream=stream) as meter:
        meter.advance()
    assert [line["doing"] for line in lines(stream)] == ["shown"]


def test_the_default_stream_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with track("checking", total=1, unit="files", show_progress=True) as meter:
        meter.advance()
    written = capsys.readouterr()
    assert written.out == "" and json.loads(written.err)["doing"] == "checking"


def test_without_a_finished_step_the_time_left_is_unknown(clock: Clock) -> None:
    stream = io.StringIO()
    with track("waiting", total=5, unit="files", stream=stream, show_progress=True) as meter:
        meter.advance(0)
    assert lines(stream)[0]["seconds_left"] is None


def test_a_notice_is_a_line_on_a_terminal_and_json_elsewhere() -> None:
    terminal, elsewhere = Terminal(), io.StringIO()
    with progress_shown():
        for stream in (terminal, elsewhere):
            notice("3 images cannot be used.", stream)
    assert terminal.getvalue() == "3 images cannot be used.\n"
    assert json.loads(elsewhere.getvalue()) == {"notice": "3 images cannot be used."}


def test_a_notice_is_logged_when_progress_is_disabled(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    notice("3 images cannot be used.", stream)
    assert stream.getvalue() == ""
    assert caplog.record_tuples == [("likebut", logging.WARNING, "3 images cannot be used.")]
