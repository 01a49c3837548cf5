from pathlib import Path

import pytest

from likebut.errors import InputError
from likebut.gallery.metadata import find_metadata, read_metadata


def test_csv_by_relative_path_and_by_name(tmp_path: Path) -> None:
    table = tmp_path / "metadata.csv"
    table.write_text('\ufeffimage,title,price\na/1.jpg,"Shirt, blue",3\n2.jpg,,4\n', encoding="utf-8")
    metadata = read_metadata(table, tmp_path)
    first = metadata.of(tmp_path / "a" / "1.jpg")
    assert first is not None and dict(first.values) == {"title": "Shirt, blue", "price": "3"}
    assert first.where == f"{table} line 2"
    second = metadata.of(tmp_path / "images" / "2.jpg")
    assert second is not None and second.values["title"] is None
    assert metadata.of(tmp_path / "3.jpg") is None
    elsewhere = metadata.of(Path("/elsewhere/2.jpg"))
    assert elsewhere is second


def test_jsonl_with_another_key(tmp_path: Path) -> None:
    table = tmp_path / "m.jsonl"
    table.write_text('{"file": "./1.jpg", "tags": ["a"]}\n\n{"file": "2.jpg"}\n')
    metadata = read_metadata(table, tmp_path)
    row = metadata.of(tmp_path / "1.jpg")
    assert row is not None and row.values == {"tags": ["a"]}


def test_an_accent_is_the_same_in_one_character_and_in_two(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("image,title\nrob\u00e9.jpg,composed\nte\u0301.jpg,apart\n", encoding="utf-8")
    metadata = read_metadata(table, tmp_path)
    found = [metadata.of(tmp_path / name) for name in ("robe\u0301.jpg", "t\u00e9.jpg")]
    assert [row.values["title"] if row else None for row in found] == ["composed", "apart"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"colour\nred\n", "line 2 does not say which image"),
        ("m.csv", b"image,colour\na.jpg,red,blue\n", "line 2 has more cells"),
        ("m.csv", b"image\n\xff\xfe.jpg\n", "not a CSV file"),
        ("m.jsonl", b'{"image": 3}\n', "line 1 does not say which image"),
        ("m.jsonl", b"[1]\n", "line 1 holds a list"),
        ("m.txt", b"", "no metadata file"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_metadata(tmp_path / name, tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    for name in ("m.csv", "m.jsonl"):
        with pytest.raises(InputError, match="no file"):
            read_metadata(tmp_path / name, tmp_path)


def test_found_in_the_folder_or_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    assert find_metadata(folder) is None
    (tmp_path / "photos.csv").write_text("image\n")
    assert find_metadata(folder) == tmp_path / "photos.csv"
    (folder / "metadata.jsonl").write_text("")
    assert find_metadata(folder) == folder / "metadata.jsonl"
