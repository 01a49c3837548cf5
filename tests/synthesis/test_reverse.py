from pathlib import Path

import pytest

from helpers.synthesis_fakes import NumberWriter, filters, tools
from likebut.data.synthetic_triplets import read_reverse_texts, with_reverse_texts
from likebut.data.triplets import Triplet
from likebut.errors import InputError
from likebut.synthesis.jobs import reverse_pairs
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.run import synthesize
from likebut.synthesis.writing import WritingSettings

TRIPLETS = [
    Triplet("1", "2", "one to two", id="a", subset=("3",)),
    Triplet("2", "3", "two to three", reverse_modification="three to two"),
    Triplet("1", "2", "the same pair in other words", id="b"),
    Triplet("2", "1", "two to one"),
]


def test_each_pair_without_a_reverse_text_once() -> None:
    assert reverse_pairs(TRIPLETS) == [MinedPair("2", "1"), MinedPair("1", "2")]
    assert reverse_pairs(TRIPLETS[1:2]) == []


def test_reverse_texts_of_shards_are_filled_in(tmp_path: Path) -> None:
    writing = WritingSettings(both_directions=False)
    writer = NumberWriter({(1, 2): ""})
    synthesize(tmp_path, reverse_pairs(TRIPLETS), tools(writer), writing, filters(), {"job": "reverse texts"})
    texts = read_reverse_texts(tmp_path)
    assert texts.kept == {("1", "2"): "make 2 into 1"} and texts.requested == {("1", "2"), ("2", "1")}
    assert texts.covers(TRIPLETS[3]) and not texts.covers(Triplet("2", "3", "never asked"))
    filled, lacking = with_reverse_texts(TRIPLETS, texts)
    assert [triplet.reverse_modification for triplet in filled] == ["make 2 into 1", "three to two", "make 2 into 1"]
    assert (filled[0].id, filled[0].subset, filled[0].modification) == ("a", ("3",), "one to two")
    assert lacking == [TRIPLETS[3]]


def test_a_run_over_pairs_is_refused(tmp_path: Path) -> None:
    synthesize(tmp_path, [MinedPair("1", "2")], tools(), WritingSettings(), filters(), {"job": "pairs"})
    with pytest.raises(InputError, match="pairs.*reverse texts"):
        read_reverse_texts(tmp_path)
