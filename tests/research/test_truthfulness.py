"""How far written texts are true: the blind control."""

from pathlib import Path
from random import Random

from PIL import Image

from likebut.data.folder import DataFolder
from likebut.files import write_jsonl
from likebut.research import grounding as truthfulness
from likebut.research.grounding import measure_own_texts


def test_the_blind_figure_is_of_other_pairs_texts(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    colours = ("red", "blue", "green", "yellow")
    for colour in colours:
        Image.new("RGB", (8, 8), colour).save(tmp_path / "images" / f"{colour}.png")
    seen = [{"image": f"{colour}.png", "split": "test", "attributes": {"pot colour": colour}} for colour in colours]
    write_jsonl(tmp_path / "attributes.jsonl", seen)
    pairs = [{"split": "test", "reference": "red.png", "target": f"{colour}.png"} for colour in colours[1:]]
    write_jsonl(
        tmp_path / "triplets.jsonl", [{**pair, "modification": f"a {pair['target'][:-4]} pot"} for pair in pairs]
    )
    result, _ = measure_own_texts(DataFolder.open(tmp_path))
    assert (result.pairs, result.precision, result.recall, result.f1) == (3, 100.0, 100.0, 100.0)
    assert result.blind_precision == result.blind_recall == result.blind_f1 < 50.0


def test_the_folder_s_own_texts_are_of_the_pairs_that_a_generator_would_be_asked_about(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    pairs = [(f"{number}.png", f"{number + 1}.png") for number in range(20)]
    rows = [{"split": "test", "reference": one, "target": other} for one, other in pairs]
    # Each pair twice: a generator is asked once, and of two texts the first counts.
    texts = [row | {"modification": text} for row in reversed(rows) for text in ("the first", "another")]
    write_jsonl(tmp_path / "triplets.jsonl", texts)
    drawn = truthfulness._drawn(DataFolder.open(tmp_path), "test", 5)
    assert list(drawn) == Random(0).sample(sorted(pairs), 5) and set(drawn.values()) == {"the first"}
