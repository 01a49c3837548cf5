"""How far written texts are true: the blind control."""

from pathlib import Path

from PIL import Image

from likebut.data_folder import DataFolder
from likebut.demo.truthfulness import measure_own_texts
from likebut.files import write_jsonl


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
