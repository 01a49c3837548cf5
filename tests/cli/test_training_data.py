from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from helpers.errors import raises
from likebut.data.synthetic_triplets import KEPT, SyntheticRow, write_rows
from likebut.data.triplets import Triplet, read_triplets, write_triplets
from likebut.errors import InputError
from likebut.files import write_json
from likebut.recipes.schema import DataSettings
from likebut.training.datasets import gather


def row(number: int, reference: str, target: str, text: str, reverse: str | None = None) -> SyntheticRow:
    kept = KEPT if reverse else "blocked"
    return SyntheticRow(
        number, reference, target, text, "{}", reverse or "with a blocked word", status=KEPT, reverse_status=kept
    )


def shards(folder: Path, job: str, rows: list[SyntheticRow]) -> Path:
    folder.mkdir()
    write_rows(folder / "shard-00000.parquet", rows)
    write_json(folder / "settings.json", {"job": job})
    write_json(folder / "summary.json", {"shards": 1, "skipped": [{"image": "broken.png", "reason": "no image"}]})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (8, 8)).save(data / "images" / f"{name}.png")
    human = [Triplet("a.png", "b.png", "one"), Triplet("b.png", "c.png", "two"), Triplet("c.png", "a.png", "three")]
    write_triplets(data / "triplets.jsonl", human)
    return data


def test_human_triplets_without_reverse_text_are_kept_if_none_is_needed(folder: Path, tmp_path: Path) -> None:
    rows = [row(0, "c.png", "b.png", "two back")]
    settings = DataSettings(root=folder, reverse_texts=shards(tmp_path / "reverse", "reverse texts", rows))
    found = gather(settings)
    assert [(each.modification, each.reverse_modification) for each in found.triplets] == [
        ("one", None),
        ("two", "two back"),
        ("three", None),
    ]
    assert found.left_out == 0
    with raises(InputError, "other-reverse-texts", "2 of the 3"):
        gather(settings, reverse=True)


def test_human_triplets_without_accepted_reverse_text_are_left_out_if_it_is_needed(
    folder: Path, tmp_path: Path
) -> None:
    dropped = replace(row(1, "b.png", "a.png", "one back"), status="blocked words")
    broken = Triplet("broken.png", "b.png", "of an image that nothing could be written about")
    write_triplets(folder / "triplets.jsonl", [*read_triplets(folder / "triplets.jsonl")[:2], broken])
    rows = [row(0, "c.png", "b.png", "two back"), dropped]
    settings = DataSettings(root=folder, reverse_texts=shards(tmp_path / "reverse", "reverse texts", rows))
    needed = gather(settings, reverse=True)
    assert [each.modification for each in needed.triplets] == ["two"] and needed.left_out == 2


def test_synthetic_triplets_without_accepted_reverse_text_are_left_out_if_it_is_needed(
    folder: Path, tmp_path: Path
) -> None:
    rows = [row(0, "a.png", "c.png", "forth", "back"), row(1, "b.png", "a.png", "only forth")]
    written = (shards(tmp_path / "shards", "pairs", rows),)
    settings = DataSettings(root=folder, use="synthetic", synthetic=written)
    assert [each.modification for each in gather(settings).triplets] == ["forth", "back", "only forth"]
    needed = gather(settings, reverse=True)
    assert [each.modification for each in needed.triplets] == ["forth", "back"] and needed.left_out == 1
    forwards = settings.model_copy(update={"synthetic_directions": "forward"})
    assert [each.modification for each in gather(forwards).triplets] == ["forth", "only forth"]
    # Human triplets of which no reverse text was asked for stay, for training to say what to do.
    both = settings.model_copy(update={"use": "both"})
    assert len(gather(both, reverse=True).triplets) == 3 + 2


def test_sources_that_the_recipe_does_not_use_are_refused(folder: Path, tmp_path: Path) -> None:
    with raises(InputError, "unused-synthetic"):
        gather(DataSettings(root=folder, synthetic=(tmp_path,)))
    with raises(InputError, "unused-reverse-texts"):
        gather(DataSettings(root=folder, use="synthetic", reverse_texts=tmp_path))
