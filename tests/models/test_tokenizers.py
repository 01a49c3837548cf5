from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.errors import raises
from helpers.published import BERT_WORDS, bert_tokenizer
from likebut.errors import InputError
from likebut.models.tokenizers import ByteTokenizer, HashingTokenizer, WordPieceTokenizer, pad_rows


@pytest.fixture
def wordpiece(tmp_path: Path) -> WordPieceTokenizer:
    (tmp_path / "tokenizer.json").write_text(bert_tokenizer().to_str())
    return WordPieceTokenizer(tmp_path / "tokenizer.json")


def words(tokenizer: WordPieceTokenizer, text: str, max_length: int = 32) -> list[str]:
    return [BERT_WORDS[i] for i in tokenizer([text], max_length).ids[0].tolist()]


def test_wordpiece_ignores_the_files_own_limits(wordpiece: WordPieceTokenizer) -> None:
    assert words(wordpiece, "Red dresses, longer sleeves") == [
        *("[CLS]", "red", "dress", "##es", ",", "longer", "sleeves", "[SEP]"),
    ]


def test_wordpiece_truncates_and_keeps_the_last_token(wordpiece: WordPieceTokenizer) -> None:
    assert words(wordpiece, "a red dress with longer sleeves", max_length=4) == ["[CLS]", "a", "red", "[SEP]"]


def test_truncated_texts_are_recognised(wordpiece: WordPieceTokenizer) -> None:
    for tokenizer in (wordpiece, HashingTokenizer(100)):
        assert not tokenizer.is_truncated("red " * 30) and tokenizer.is_truncated("red " * 31)
        assert not tokenizer.is_truncated("a red", 4) and tokenizer.is_truncated("a red dress", 4)


def test_wordpiece_pads_on_the_right_to_the_longest(wordpiece: WordPieceTokenizer) -> None:
    batch = wordpiece(["red", "a red dress"])
    assert batch.ids.tolist() == [[2, 5, 3, 0, 0], [2, 4, 5, 6, 3]]
    assert batch.mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_a_special_tokens_name_in_a_text_is_text(wordpiece: WordPieceTokenizer) -> None:
    assert words(wordpiece, "red [SEP]") == ["[CLS]", "red", "[", "sep", "]", "[SEP]"]


def test_wordpiece_knows_its_vocabulary_and_content(wordpiece: WordPieceTokenizer, tmp_path: Path) -> None:
    assert wordpiece.vocabulary_size == len(BERT_WORDS) and wordpiece.vocabulary["red"] == 5
    other = bert_tokenizer()
    other.add_tokens(["sequinned"])
    (tmp_path / "other.json").write_text(other.to_str())
    assert WordPieceTokenizer(tmp_path / "other.json").fingerprint != wordpiece.fingerprint


def test_hashing_is_the_same_on_every_machine() -> None:
    # 3 + CRC-32 of the word modulo 2045, worked out elsewhere.
    batch = HashingTokenizer(2048)(["a red dress", "RED!"])
    assert batch.ids[0].tolist() == [1, 1010, 1878, 1121, 2]
    assert batch.ids[1, :2].tolist() == [1, 1878] and batch.mask[1].tolist() == [1, 1, 1, 1, 0]


@given(st.text())
def test_hashed_ids_stay_within_the_vocabulary(text: str) -> None:
    ids = HashingTokenizer(16)([text]).ids[0].tolist()
    assert ids[0] == 1 and ids[-1] == 2 and all(3 <= i < 16 for i in ids[1:-1])


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_byte_ids_round_trip(text: str) -> None:
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode([text])[0]
    assert tokenizer.decode([*ids, tokenizer.end_id, tokenizer.pad_id]) == text


def test_no_texts_make_an_empty_batch_and_no_room_is_refused() -> None:
    assert pad_rows([], 8, 0).ids.shape == (0, 0)
    with raises(InputError, None, "max_length", 1):
        pad_rows([[1, 2]], 1, 0)
