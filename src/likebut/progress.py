"""Progress of long work: a bar on a terminal, JSON lines elsewhere, and nothing unless progress is enabled.

The library is silent by default. The command line enables progress for the whole process with :func:`progress_shown`;
Python code passes ``show_progress=True`` to functions that take it, or uses :func:`progress_shown` itself.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_LINES = 10.0
_logger = logging.getLogger("likebut")
_enabled = False  # of the process, not of a context: worker threads report progress too


@contextmanager
def progress_shown(enabled: bool | None = True) -> Iterator[None]:
    """Enable or disable progress within the block.

    Args:
        enabled: Whether :func:`track` and :func:`notice` write; None keeps the current setting.
    """
    global _enabled
    previous = _enabled
    _enabled = previous if enabled is None else enabled
    try:
        yield
    finally:
        _enabled = previous


class Meter:
    """Counts finished steps and shows them; :func:`track` creates one.

    Args:
        label: What is being done, as a present participle: "embedding images".
        total: Number of steps.
        unit: What a step is, in the plural: "images".
        done: Steps that an earlier run finished.
        stream: Where to write; None writes nothing.
    """

    def __init__(self, label: str, total: int, unit: str, done: int, stream: TextIO | None) -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, done
        self._stream = stream
        self._started_at, self._started_with = time.monotonic(), done
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._last_line_at: float | None = None
        self._unwritten: dict[str, float] | None = None

    def advance(self, steps: int = 1, **metrics: float) -> None:
        """Count ``steps`` as done and show ``metrics`` (for example a loss) next to the count."""
        self.done += steps
        if self._stream is None:
            return
        if self._bar is not None and self._task is not None:
            rate = self._rate(time.monotonic())
            detail = "  ".join([f"{rate:.1f} {self.unit}/s", *(f"{k} {v:.4g}" for k, v in metrics.items())])
            self._bar.update(self._task, completed=self.done, detail=detail)
            return
        self._unwritten = metrics
        now = time.monotonic()
        if self._last_line_at is None or now - self._last_line_at >= SECONDS_BETWEEN_LINES:
            self._write_line(now)

    def _rate(self, now: float) -> float:
        return (self.done - self._started_with) / max(now - self._started_at, 1e-9)

    def _write_line(self, now: float) -> None:
        rate = self._rate(now)
        left = (self.total - self.done) / rate if rate > 0 else None
        line = {
            "doing": self.label,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "rate": round(rate, 2),
            "seconds_left": None if left is None else round(left, 1),
            **{name: round(value, 6) for name, value in (self._unwritten or {}).items()},
        }
        print(json.dumps(line), file=self._stream, flush=True)
        self._last_line_at, self._unwritten = now, None

    @contextmanager
    def showing_lines(self) -> Iterator["Meter"]:
        """Write the last state when the block ends, unless the last :meth:`advance` wrote it."""
        try:
            yield self
        finally:
            if self._unwritten is not None:
                self._write_line(time.monotonic())

    @contextmanager
    def showing_bar(self) -> Iterator["Meter"]:
        """Draw the bar while the block runs."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(file=self._stream),
        ) as bar:
            self._bar = bar
            self._task = bar.add_task(self.label, total=self.total, completed=self.done, detail="")
            yield self


@contextmanager
def track(
    label: str,
    total: int,
    unit: str,
    done: int = 0,
    stream: TextIO | None = None,
    show_progress: bool | None = None,
) -> Iterator[Meter]:
    """Show progress while the block runs: a bar on a terminal, elsewhere JSON lines.

    Lines are at least ``SECONDS_BETWEEN_LINES`` apart, except the first and the last.

    Args:
        label: What is being done: "embedding images".
        total: Number of steps.
        unit: What a step is, in the plural.
        done: Steps that an earlier run finished.
        stream: Where to write; standard error if None.
        show_progress: Whether to show anything; None follows :func:`progress_shown`.

    Yields:
        The meter, whose ``advance`` the block calls.
    """
    stream = stream or sys.stderr
    shown = _enabled if show_progress is None else show_progress
    meter = Meter(label, total, unit, done, stream if shown else None)
    if not shown:
        yield meter
        return
    with meter.showing_bar() if stream.isatty() else meter.showing_lines():
        yield meter


def notice(text: str, stream: TextIO | None = None) -> None:
    """Report something that long work should not start without reporting.

    With progress enabled it is a line on a terminal and a JSON line elsewhere; otherwise a warning of the logger
    ``likebut``.
    """
    if not _enabled:
        _logger.warning(text)
        return
    stream = stream or sys.stderr
    print(text if stream.isatty() else json.dumps({"notice": text}, ensure_ascii=False), file=stream, flush=True)
