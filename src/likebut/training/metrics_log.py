"""The metrics log of a training: ``metrics.jsonl`` and TensorBoard events."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from likebut.files import write_text


class MetricsLog:
    """Writes ``metrics.jsonl`` and TensorBoard events.

    Args:
        folder: Where both are written.
        resumed_step: The step that training resumes from; later lines are dropped, as those steps are repeated.
        enabled: Whether anything is written; False in all but one of several processes.
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

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log ``metrics`` of ``step``."""
        if not self._enabled:
            return
        self._lines.write(json.dumps({"step": step, **metrics}) + "\n")
        self._lines.flush()
        for name, value in metrics.items():
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


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Return the rows of ``folder``'s metrics log by step; none if there is no log."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _drop_after(path: Path, step: int) -> None:
    """Keep the complete lines up to ``step``."""
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
