from pathlib import Path

import pytest

from helpers.errors import raises
from likebut.data.folder import Caption, read_captions
from likebut.errors import InputError


def test_captions_of_one_split_are_read(tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text(
        '{"split": "train", "image": "a.png", "captions": ["one", "two"]}\n'
        '{"split": "val", "image": "b.png", "captions": ["three"]}\n'
        '{"split": "train", "image": "a.png", "captions": ["four"]}\n'
    )
    # An image on two lines is one image with all of their texts, not its own wrong answer.
    assert read_captions(tmp_path, "train") == [Caption("a.png", ("one", "two", "four"))]
    assert read_captions(tmp_path / "elsewhere", "train") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"image": "a", "captions": ["x"]}', 'line 1 lacks "image", "split"'),
        ('{"split": "train", "image": "a", "captions": []}', 'line 1 lacks .* a list of texts as "captions"'),
        ('{"split": "train", "image": "a", "captions": "x"}', 'line 1 lacks .* a list of texts as "captions"'),
        ("{", "line 1 is not valid JSON"),
    ],
)
def test_invalid_lines_are_reported(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "captions.jsonl").write_text(line + "\n")
    with raises(InputError, None, "line 1"):
        read_captions(tmp_path, "train")
