from pathlib import Path

import pytest

from likebut.data.folder import DataFolder
from likebut.errors import InputError
from likebut.files import write_jsonl
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.research.reports.written_samples import (
    WITHHELD,
    Sample,
    markdown_listing,
    sample_pairs,
    write_samples,
)


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    from helpers.training_toys import make_data_folder

    return DataFolder.open(make_data_folder(tmp_path / "data"))


def test_pairs_are_drawn_by_lot_and_only_peoples_texts_are_theirs(data: DataFolder) -> None:
    drawn = sample_pairs(data, "val", 5, seed=0)
    assert drawn == sample_pairs(data, "val", 5, seed=0) != sample_pairs(data, "val", 5, seed=1)
    assert len(drawn) == 5 and all(name.startswith("3-") for pair in drawn for name in pair)
    assert all(text == f"make it {target[2:-4]}" for (_, target), text in drawn.items())
    rows = [{**triplet.to_row(), "meta": {"source": "derived"}} for triplet in data.triplets()]
    write_jsonl(data.path / "triplets.jsonl", rows)
    assert set(sample_pairs(data, "val", 5, seed=0).values()) == {None}


def test_more_than_there_are(data: DataFolder) -> None:
    with pytest.raises(InputError) as error:
        sample_pairs(data, "val", 13, seed=0)
    assert error.value.code == "too-few-pairs"
    assert "12" in str(error.value)
    assert "13" in str(error.value)


def test_each_pair_gets_its_own_text_and_blocked_texts_are_withheld(
    data: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = ModificationGenerator.from_preset("tiny")
    pairs = sample_pairs(data, "val", 12, seed=0)
    calls: list[int] = []

    def write_batch(references: object, targets: object, decoding: Decoding) -> list[str]:
        calls.append(len(references))  # type: ignore[arg-type]
        return ["kkk on it", *(f"text {number}" for number in range(1, len(references)))]  # type: ignore[arg-type]

    monkeypatch.setattr(generator, "write_batch", write_batch)
    samples = write_samples(generator, data, pairs, Decoding(), tmp_path / "features")
    assert [(sample.reference, sample.target) for sample in samples] == list(pairs) and sum(calls) == 12
    assert [sample.written for sample in samples] == [WITHHELD, *(f"text {number}" for number in range(1, 12))]
    assert [sample.human for sample in samples] == list(pairs.values())


def test_a_listing_in_markdown() -> None:
    samples = [Sample("a.png", "b.png", "red | blue\n<b>", "redder"), Sample("c.png", "d.png", "green", None)]
    assert markdown_listing(samples, "Two pairs.").splitlines()[2:] == [
        "| | reference | target | the generator writes | the data's own text |",
        "|---:|---|---|---|---|",
        "| 1 | a.png | b.png | red \\| blue &lt;b> | redder |",
        "| 2 | c.png | d.png | green | – |",
    ]
