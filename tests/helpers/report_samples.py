"""Small contents for a report, their files included."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from likebut.files import write_jsonl
from likebut.research.reports.contents import (
    DemoContents,
    GroundingResult,
    Panel,
    PanelHit,
    RowResult,
    SynthesisResult,
    WrittenText,
)


def make_row(
    name: str,
    *seeds: Mapping[str, float],
    margin: float = 2.0,
    curves: Mapping[str, Path] | None = None,
    is_paper: bool = False,
) -> RowResult:
    """Return a row with one mapping of metrics for each seed, and intervals of ± ``margin``."""
    intervals = [{name: (value - margin, value + margin) for name, value in seed.items()} for seed in seeds]
    return RowResult(name, f"What {name} is.", list(seeds), intervals, curves or {}, 60.0, is_paper)


def write_log(path: Path, losses: Sequence[float], **extra: Sequence[float]) -> Path:
    """Write a metrics log with a line for every tenth step."""
    rows = [
        {"step": 10 * number, "loss": loss} | {name: values[number - 1] for name, values in extra.items()}
        for number, loss in enumerate(losses, start=1)
    ]
    write_jsonl(path, rows)
    return path


def write_picture(path: Path, colour: str, size: tuple[int, int] = (64, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def sample_contents(folder: Path) -> DemoContents:
    red, blue, green = (write_picture(folder / "images" / f"{name}.png", name) for name in ("red", "blue", "green"))
    pretraining = write_log(folder / "pretraining" / "metrics.jsonl", [4.0, 3.0, 2.0], query_loss=[3.9, 2.9, 1.9])
    alone = write_log(folder / "alone" / "metrics.jsonl", [4.0, 3.5, 3.0], query_loss=[3.0, 2.5, 2.0])
    tuned = write_log(folder / "tuned" / "metrics.jsonl", [3.0, 2.5, 2.0], query_loss=[2.0, 1.5, 1.0])
    rows = [
        make_row("Sum", {"Recall@1": 30.0, "Recall@10": 60.0, "Hard-negative rate": 40.0}, curves={"training": alone}),
        make_row("Zero shot", {"Recall@1": 40.0, "Recall@10": 75.0}, curves={"pretraining": pretraining}),
        make_row(
            "Paper",
            {"Recall@1": 60.0, "Recall@10": 90.0, "Hard-negative rate": 20.0},
            curves={"pretraining": pretraining, "training": tuned},
            is_paper=True,
        ),
    ]
    return DemoContents(
        title="A demo",
        settings={"preset": "tiny", "decoding": {"method": "greedy", "beams": None}},
        machine={"processor": "a fast one"},
        queries=480,
        gallery=1504,
        rows=rows,
        panels=[
            Panel(red, "make it green", [PanelHit(blue, 0.9, False), PanelHit(green, 0.8, True)], first_right=2),
            Panel(blue, "make it red", [PanelHit(green, 0.9, False), PanelHit(blue, 0.8, False)], first_right=None),
        ],
        panel_rule="A random sample of two queries.",
        written=[
            WrittenText(red, green, "now it is green", ["colour: green"], right=1, claimed=1),
            WrittenText(green, blue, "make it big and red", ["colour: blue"], right=0, claimed=2),
        ],
        grounding=GroundingResult(80.0, 70.0, 74.7, 20.0, 17.0, 18.4, pairs=400),
        synthesis=SynthesisResult(100, 150, {"kept": 80, "round trip": 20}, {"kept": 70, "round trip": 10}),
        seconds={"rendering": 30.0, "training": 90.0},
        peak_memory_mib=1234.5,
        next_step="`likebut search` finds your own pictures.",
        notes=["A note."],
    )
