"""Progress of long work: a bar with rate and time left on a terminal, one JSON line a step elsewhere."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Meter:
    """What a worker calls to say how far it is; :func:`track` makes one.

    Args:
        label: What is being done, in the present participle: "embedding images".
        total: How many steps there are.
        unit: What one step is, in the plural: "images".
        done: Steps that an earlier run had finished.
        stream: Where the output goes.
    """

    def __init__(self, label: str, total: int, unit: str, done: int, stream: TextIO) -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, done
        self._stream = stream
        self._started_at, self._started_with = time.monotonic(), done
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Count ``steps`` as done and show ``figures`` (a loss, say) beside the bar."""
        self.done += steps
        rate = (self.done - self._started_with) / max(time.monotonic() - self._started_at, 1e-9)
        if self._bar is not None and self._task is not None:
            detail = "  ".join([f"{rate:.1f} {self.unit}/s", *(f"{k} {v:.4g}" for k, v in figures.items())])
            self._bar.update(self._task, completed=self.done, detail=detail)
        else:
            self._write_line(rate, figures)

    def _write_line(self, rate: float, figures: dict[str, float]) -> None:
        left = (self.total - self.done) / rate if rate > 0 else None
        line = {
            "doing": self.label,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "rate": round(rate, 2),
            "seconds_left": None if left is None else round(left, 1),
            **{name: round(value, 6) for name, value in figures.items()},
        }
        print(json.dumps(line), file=self._stream, flush=True)

    @contextmanager
    def showing_bar(self) -> Iterator["Meter"]:
        """Draw the bar while the block runs."""
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
def track(label: str, total: int, unit: str, done: int = 0, stream: TextIO | None = None) -> Iterator[Meter]:
    """Show progress on standard error while the block runs.

    Args:
        label: What is being done: "embedding images".
        total: How many steps there are.
        unit: What a step is, in the plural.
        done: Steps that an earlier run had finished.
        stream: Where to write; standard error if none.

    Yields:
        A meter whose ``advance`` the block calls.
    """
    stream = stream or sys.stderr
    meter = Meter(label, total, unit, done, stream)
    if stream.isatty():
        with meter.showing_bar():
            yield meter
    else:
        yield meter


def notice(text: str, stream: TextIO | None = None) -> None:
    """Say something that long work should not begin without saying: a line on a terminal, a JSON line elsewhere."""
    stream = stream or sys.stderr
    print(text if stream.isatty() else json.dumps({"notice": text}, ensure_ascii=False), file=stream, flush=True)
