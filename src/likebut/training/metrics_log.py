"""The training's figures: a line of JSON for each logged step, and the same for TensorBoard."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from likebut.files import write_text


class MetricsLog:
    """Writes ``metrics.jsonl`` and TensorBoard's events.

    Args:
        folder: Where both go.
        resumed_step: The step that training goes on from; what was logged after it is dropped.
        enabled: False in all but one of several processes that train together: nothing is written then.
    """

    def __init__(self, folder: Path, resumed_step: int = 0, enabled: bool = True) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._enabled = enabled
        if not enabled:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "metrics.jsonl"
        _drop_after(self._path, resumed_step)
        self._lines = self._path.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=resumed_step + 1)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Log ``figures`` for ``step``."""
        if not self._enabled:
            return
        self._lines.write(json.dumps({"step": step, **figures}) + "\n")
        self._lines.flush()
        for name, value in figures.items():
            self._events.add_scalar(name, value, step)

    def __enter__(self) -> "MetricsLog":
        """Return the log."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both files."""
        if not self._enabled:
            return
        self._lines.close()
        self._events.close()


def _drop_after(path: Path, step: int) -> None:
    """Keep only whole lines up to ``step``: the steps after a checkpoint are trained, and logged, again."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if row["step"] <= step:
            kept.append(line + "\n")
    write_text(path, "".join(kept))


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Return what was logged in a training's folder, by step."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
