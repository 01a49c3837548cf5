import hashlib
import os
import time
from pathlib import Path

from likebut.data.images import SkippedImage
from likebut.features import content_hashes as content
from likebut.features.content_hashes import ContentHashes


def age(path: Path, seconds: float, monkeypatch) -> None:
    """Let the file look ``seconds`` old: its change time cannot be set, so the clock is moved instead."""
    now = time.time()
    monkeypatch.setattr(content.time, "time", lambda: now + seconds)


def test_hash_is_of_the_content(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"hello")
    assert ContentHashes(tmp_path / "hashes.json").of(file) == hashlib.sha256(b"hello").hexdigest()


def test_hashes_of_settled_files_are_stored(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"hello")
    age(file, 60, monkeypatch)
    hashes = ContentHashes(tmp_path / "hashes.json")
    first = hashes.of(file)
    hashes.save()
    monkeypatch.setattr(content, "sha256_of", lambda path: "read again")
    assert ContentHashes(tmp_path / "hashes.json").of(file) == first


def test_hashes_of_recent_files_are_not_stored(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"hello")
    hashes = ContentHashes(tmp_path / "hashes.json")
    hashes.of(file)
    hashes.save()
    monkeypatch.setattr(content, "sha256_of", lambda path: "read again")
    assert ContentHashes(tmp_path / "hashes.json").of(file) == "read again"


def test_a_change_that_keeps_size_and_modification_time_is_noticed(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"hello")
    age(file, 60, monkeypatch)
    hashes = ContentHashes(tmp_path / "hashes.json")
    first, status = hashes.of(file), file.stat()
    time.sleep(0.01)
    file.write_bytes(b"world")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hashes.of(file) != first


def test_unreadable_files_are_skipped(tmp_path: Path) -> None:
    found = ContentHashes(tmp_path / "hashes.json").of(tmp_path / "absent.png")
    assert isinstance(found, SkippedImage) and "There is no file" in found.reason


def test_a_damaged_store_is_treated_as_empty(tmp_path: Path) -> None:
    (tmp_path / "hashes.json").write_text("{broken")
    file = tmp_path / "a"
    file.write_bytes(b"hello")
    assert ContentHashes(tmp_path / "hashes.json").of(file) == hashlib.sha256(b"hello").hexdigest()


def test_many_files_keep_their_order(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(content, "_FILES_AT_ONCE", 2)
    monkeypatch.setattr(content, "MAX_BYTES", 5)
    for name in "abcde":
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "large").write_bytes(b"123456")
    paths = [tmp_path / name for name in ("e", "a", "none", "large", "c")]
    found = ContentHashes(tmp_path / "hashes.json").of_all(paths)
    assert [found[0], found[1], found[4]] == [hashlib.sha256(name).hexdigest() for name in (b"e", b"a", b"c")]
    assert "There is no file" in found[2].reason and found[3].reason == "The file has 6 bytes, more than 5."


def test_leftovers_of_a_killed_process_are_removed_by_the_next_save(tmp_path: Path, monkeypatch) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"content")
    age(picture, 60, monkeypatch)
    memory = tmp_path / "cache" / "hashes.json"
    memory.parent.mkdir()
    left = memory.parent / ".hashes.json.0123456789ab.tmp"
    left.write_text("half of")
    hashes = ContentHashes(memory)
    hashes.of(picture)
    hashes.save()
    assert memory.is_file() and not left.exists()
