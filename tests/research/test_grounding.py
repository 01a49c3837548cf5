"""Grounding of written texts, and the shuffled-image control."""

from pathlib import Path
from random import Random

from PIL import Image

from likebut.data.folder import DataFolder
from likebut.files import write_jsonl
from likebut.research import grounding
from likebut.research.grounding import measure_own_texts


def test_the_control_scores_the_texts_of_other_pairs(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    colours = ("red", "blue", "green", "yellow")
    for colour in colours:
        Image.new("RGB", (8, 8), colour).save(tmp_path / "images" / f"{colour}.png")
    attributes = [
        {"image": f"{colour}.png", "split": "test", "attributes": {"pot colour": colour}} for colour in colours
    ]
    write_jsonl(tmp_path / "attributes.jsonl", attributes)
    pairs = [{"split": "test", "reference": "red.png", "target": f"{colour}.png"} for colour in colours[1:]]
    write_jsonl(
        tmp_path / "triplets.jsonl", [{**pair, "modification": f"a {pair['target'][:-4]} pot"} for pair in pairs]
    )
    result, _ = measure_own_texts(DataFolder.open(tmp_path))
    assert (result.pairs, result.precision, result.recall, result.f1) == (3, 100.0, 100.0, 100.0)
    assert result.shuffled_precision == result.shuffled_recall == result.shuffled_f1 < 50.0


def test_a_folder_s_own_texts_are_measured_on_the_same_pairs_as_a_generator_s(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    pairs = [(f"{number}.png", f"{number + 1}.png") for number in range(20)]
    rows = [{"split": "test", "reference": one, "target": other} for one, other in pairs]
    # Each pair occurs twice: it is measured once, with its first text.
    texts = [row | {"modification": text} for row in reversed(rows) for text in ("the first", "another")]
    write_jsonl(tmp_path / "triplets.jsonl", texts)
    sample = grounding._sample_pairs(DataFolder.open(tmp_path), "test", 5)
    assert list(sample) == Random(0).sample(sorted(pairs), 5) and set(sample.values()) == {"the first"}
