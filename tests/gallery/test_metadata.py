from pathlib import Path

import pytest

from helpers.pictures_on_disk import write_pictures
from likebut.errors import InputError
from likebut.gallery.metadata import MetadataFile, MetadataRow, find_metadata, read_metadata


def row_of(metadata: MetadataFile, image: Path) -> MetadataRow | None:
    return metadata.match([image])[0].get(image)


def read_csv(tmp_path: Path, content: str, encoding: str = "utf-8") -> list[dict[str, object]]:
    (tmp_path / "m.csv").write_bytes(content.encode(encoding))
    return [dict(row.values) for row in read_metadata(tmp_path / "m.csv", tmp_path).rows.values()]


def test_csv_by_relative_path_and_by_name(tmp_path: Path) -> None:
    table = tmp_path / "metadata.csv"
    table.write_text('\ufeffimage,title,price\na/1.jpg,"Shirt, blue",3\n2.jpg,,4\n', encoding="utf-8")
    metadata = read_metadata(table, tmp_path)
    first = row_of(metadata, tmp_path / "a" / "1.jpg")
    assert first is not None and dict(first.values) == {"title": "Shirt, blue", "price": "3"}
    assert first.where == f"{table} line 2"
    second = row_of(metadata, tmp_path / "images" / "2.jpg")
    assert second is not None and second.values["title"] is None
    assert row_of(metadata, tmp_path / "3.jpg") is None
    assert row_of(metadata, Path("/elsewhere/2.jpg")) is second


def test_jsonl_with_another_key(tmp_path: Path) -> None:
    table = tmp_path / "m.jsonl"
    table.write_text('{"file": "./1.jpg", "tags": ["a"]}\n\n{"file": "2.jpg"}\n')
    row = row_of(read_metadata(table, tmp_path), tmp_path / "1.jpg")
    assert row is not None and row.values == {"tags": ["a"]}


def test_unicode_normalisation_of_names(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("image,title\nrob\u00e9.jpg,composed\nte\u0301.jpg,decomposed\n", encoding="utf-8")
    metadata = read_metadata(table, tmp_path)
    found = [row_of(metadata, tmp_path / name) for name in ("robe\u0301.jpg", "t\u00e9.jpg")]
    assert [row.values["title"] if row else None for row in found] == ["composed", "decomposed"]


def test_a_bare_name_matches_a_nested_file_only_if_it_is_unique(tmp_path: Path) -> None:
    root, nested = write_pictures(tmp_path, range(1))[0], write_pictures(tmp_path / "sub", range(2))
    (tmp_path / "m.csv").write_text("image,price\n0.png,1\n1.png,2\n")
    metadata = read_metadata(tmp_path / "m.csv", tmp_path)
    found, skipped = metadata.match([root, *nested])
    assert {path: row.values["price"] for path, row in found.items()} == {root: "1", nested[1]: "2"}
    assert skipped == []
    # The result is the same if the file that the row is about is not among those that are added.
    assert metadata.match([nested[0]]) == ({}, [])


def test_an_ambiguous_name_is_reported(tmp_path: Path) -> None:
    first, second = (write_pictures(tmp_path / name, range(1))[0] for name in "ab")
    (tmp_path / "m.csv").write_text("image,price\n0.png,1\n")
    metadata = read_metadata(tmp_path / "m.csv", tmp_path)
    for images in ([first, second], [first]):
        found, (skipped,) = metadata.match(images)
        assert found == {} and skipped.where == f"{tmp_path / 'm.csv'} line 2"
        assert all(part in skipped.reason for part in ('"0.png"', str(first), str(second)))
    (tmp_path / "m.csv").write_text("image,price\n0.png,1\na/0.png,2\n")
    found, skipped_lines = read_metadata(tmp_path / "m.csv", tmp_path).match([first, second])
    assert found[first].values["price"] == "2" and second not in found and len(skipped_lines) == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_and_encodings(tmp_path: Path, delimiter: str, encoding: str) -> None:
    lines = [["image", "title", "size, cm"], ["1.jpg", '"a;b,c\td"', "S"], ["2.jpg", "é", ""]]
    quoted = [["image", "title", '"size, cm"'], *lines[1:]]
    content = "\r\n".join(delimiter.join(cells) for cells in quoted)
    rows = read_csv(tmp_path, content, encoding)
    assert rows == [{"title": "a;b,c\td", "size, cm": "S"}, {"title": "é", "size, cm": None}]


def test_decimal_commas(tmp_path: Path) -> None:
    rows = read_csv(
        tmp_path,
        "image;price;sum;code;title\na.jpg;12,50;1.234,5;1,2;Red, blue\nb.jpg;3;7;n/a;x\nc.jpg;;-0,5;;y\n",
    )
    assert [row["price"] for row in rows] == ["12.50", "3", None]
    assert [row["sum"] for row in rows] == ["1234.5", "7", "-0.5"]
    assert [row["code"] for row in rows] == ["1,2", "n/a", None], "a column with other values is text"
    assert rows[0]["title"] == "Red, blue"
    assert read_csv(tmp_path, "image\tprice\na.jpg\t12,50\n") == [{"price": "12.50"}]
    assert read_csv(tmp_path, 'image,price\na.jpg,"12,50"\n') == [{"price": "12,50"}]


def test_the_separator_line_of_spreadsheets(tmp_path: Path) -> None:
    assert read_csv(tmp_path, "sep=;\r\nimage;price\r\na.jpg;12,50\r\n") == [{"price": "12.50"}]
    with pytest.raises(InputError) as error:
        read_csv(tmp_path, "sep=;\nimage;price\na.jpg;1;2\n")
    assert "line 3" in error.value.problem


@pytest.mark.parametrize(
    ("name", "content", "code", "named"),
    [
        ("m.csv", b"colour\nred\n", "metadata-without-image", ("line 2", "colour")),
        ("m.csv", b"image,colour\na.jpg,red,blue\n", "csv-row-too-long", ("line 2", "3", "2")),
        ("m.csv", b"image\n\xff\xfe.jpg\n", "invalid-csv", ("m.csv",)),
        ("m.jsonl", b'{"image": 3}\n', "metadata-without-image", ("line 1",)),
        ("m.jsonl", b"[1]\n", None, ("line 1",)),
        ("m.txt", b"", "unknown-metadata-format", ("m.txt",)),
    ],
)
def test_errors_name_the_line(
    tmp_path: Path, name: str, content: bytes, code: str | None, named: tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read_metadata(tmp_path / name, tmp_path)
    assert code in (None, error.value.code)
    assert all(part in error.value.problem for part in named)


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_missing_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as error:
        read_metadata(tmp_path / name, tmp_path)
    assert str(tmp_path / name) in error.value.problem


def test_found_in_the_folder_or_next_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    assert find_metadata(folder) is None
    (tmp_path / "photos.csv").write_text("image\n")
    assert find_metadata(folder) == tmp_path / "photos.csv"
    (folder / "metadata.jsonl").write_text("")
    assert find_metadata(folder) == folder / "metadata.jsonl"
