from pathlib import Path

import pytest

from likebut.errors import InputError
from likebut.synthesis.filters import Blocklist


@pytest.fixture(scope="module")
def blocklist() -> Blocklist:
    return Blocklist.load()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a tee with a swastika on the chest", "swastika"),
        ("Swastikas instead of stars", "swastikas"),
        ("the sign of a NAZI.", "nazi"),
        ("white  power slogan", "white  power"),
        ("no shit on it", "shit"),
        ("two bitches", "bitches"),
    ],
)
def test_finds_words_in_any_case_and_number(blocklist: Blocklist, text: str, found: str) -> None:
    assert blocklist.find(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "classic grass-green trousers with a button",
        "a peachy nude colour",
        "a single strap on the left shoulder",
        "big black feathers and a girl on the front",
        "Scunthorpe shuttlecock",
        "three jars of spices",
        "",
    ],
)
def test_descriptions_are_not_blocked(blocklist: Blocklist, text: str) -> None:
    assert blocklist.find(text) is None


def test_own_words_add_and_allow(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("# ours\nAcme  Corp\n!swastika   # a museum's collection\n\n", encoding="utf-8")
    own = Blocklist.load(words)
    assert own.find("the acme corp logo") == "acme corp"
    assert own.find("a swastika") is None
    assert own.find("a nazi flag") == "nazi"


def test_entries_may_begin_and_end_with_symbols() -> None:
    own = Blocklist(["a$$", "C++"])
    assert own.find("what an a$$!") == "a$$"
    assert own.find("says c++ on it") == "c++"


def test_an_empty_list_finds_nothing() -> None:
    assert Blocklist([" ", ""]).find("anything at all") is None


def test_fingerprint_identifies_the_list() -> None:
    assert Blocklist(["b", "A"]).fingerprint() == Blocklist(["a", "b", "b"]).fingerprint()
    assert Blocklist(["a"]).fingerprint() != Blocklist(["a", "b"]).fingerprint()


def test_a_missing_or_binary_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        Blocklist.load(tmp_path / "absent.txt")
    assert error.value.code == "missing-file" and "absent.txt" in error.value.problem
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(InputError) as error:
        Blocklist.load(tmp_path / "binary")
    assert error.value.code == "not-utf-8" and "binary" in error.value.problem
