import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.errors import raises
from likebut.errors import InputError
from likebut.files import (
    atomic_path,
    fingerprint,
    home_folder,
    read_json,
    read_jsonl,
    remove_temporaries,
    require_output_file,
    require_output_folder,
    sha256_of,
    write_json,
    write_jsonl,
    write_text,
)


def test_the_home_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path))
    assert home_folder() == tmp_path
    monkeypatch.setenv("LIKEBUT_HOME", "~/elsewhere")
    assert home_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("LIKEBUT_HOME")
    assert home_folder().name == "likebut"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


def test_a_folder_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "half").write_text("")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "all").write_text("")
        assert not (tmp_path / "folder").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "all"]


KILLED = """
import os, signal, sys
from pathlib import Path
from likebut.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_leaves_the_old_file_and_a_temporary_that_the_next_writer_removes(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode == -9
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 2
    (tmp_path / ".kept").write_text("")
    (tmp_path / ".folder.0123.tmp").mkdir()
    remove_temporaries(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == [".kept", "file.txt"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(value=JSON)
def test_json_round_trips(value: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value
    assert fingerprint(value) == fingerprint(read_json(path))


@given(rows=st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4))
def test_json_lines_round_trip(rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    write_jsonl(path, rows)
    assert [row for _, row in read_jsonl(path)] == rows


def test_empty_lines_are_skipped_and_lines_numbered_from_one(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('\n{"a": 1}\n   \n{"a": 2}\n')
    assert list(read_jsonl(tmp_path / "rows.jsonl")) == [(2, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b" 2}', "line 2"),
        (b"\xff\xfe{}", r"\.json"),
        (b"[" * 100_000, r"\.json"),
        (b"1" * 10_000, r"\.json"),
    ],
)
def test_invalid_json_is_reported_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "value.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "value.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', "line 2"),
        (b"\n[1]\n", "line 2 .*list"),
        (b'{"a": 1}\n\xff\n', r"\.json"),
        (b"{}\n" + b"[" * 100_000, "line 2"),
    ],
)
def test_an_invalid_json_line_is_reported_with_its_number(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_jsonl(tmp_path / "rows.jsonl"))


def test_missing_files_are_errors(tmp_path: Path) -> None:
    for read in (read_json, lambda path: list(read_jsonl(path))):
        with raises(InputError, "no-such-file"):
            read(tmp_path / "absent")


def test_output_paths_are_checked_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    require_output_folder(tmp_path / "folder", "the work")
    require_output_folder(tmp_path / "new" / "er", "the work")
    require_output_file(tmp_path / "file")
    require_output_file(tmp_path / "new" / "file")
    assert not (tmp_path / "new").exists()
    with raises(InputError, None, "the work"):
        require_output_folder(tmp_path / "file", "the work")
    with raises(InputError):
        require_output_file(tmp_path / "folder")
    with raises(InputError):
        require_output_folder(tmp_path / "file" / "deep" / "er", "the work")
    # Root may write anywhere, so the system's answer is put in its mouth.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path / "folder")
    with raises(InputError, "not-writable"):
        require_output_file(tmp_path / "folder" / "new")
    with raises(InputError, "not-writable"):
        require_output_folder(tmp_path / "folder", "the work")


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_fingerprints_depend_on_values_and_not_on_key_order() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert len({fingerprint(value) for value in ({"a": 1}, {"a": 2}, {"a": "1"}, {"a": [1]}, [1], None)}) == 6


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    (tmp_path / "lines.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n')
    assert read_json(tmp_path / "one.json") == {"a": 1}
    assert [row for _, row in read_jsonl(tmp_path / "lines.jsonl")] == [{"a": 1}, {"a": 2}]


def test_the_root_has_no_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: True)
    require_output_folder(Path("/"), "the work")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with raises(InputError, "not-writable"):
        require_output_folder(Path("/"), "the work")
