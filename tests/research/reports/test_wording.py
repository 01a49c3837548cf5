import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likebut.research.reports.wording import breakable, duration, ordinal, plural, with_code


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (252, "4 min 12 s"),
        (3599.6, "1 h 00 min"),
        (3900, "1 h 05 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts() -> None:
    thousands = plural(12400, "query", "queries")
    assert (plural(1, "pair"), plural(0, "pair"), thousands.split("\N{NARROW NO-BREAK SPACE}")) == (
        "1 pair",
        "0 pairs",
        ["12", "400 queries"],
    )
    assert (ordinal(3), ordinal(11)) == ("third", "no. 11")


def test_backticks_become_code() -> None:
    assert with_code("run `a <b>` & `c`") == "run <code>a &lt;b&gt;</code> &amp; <code>c</code>"
    assert with_code("an odd ` one <i>") == "an odd ` one &lt;i&gt;"


@given(st.text(alphabet="ab`<>&\"'"))
def test_whatever_is_written_stays_text(text: str) -> None:
    marked = with_code(text)
    plain = marked.replace("<code>", "").replace("</code>", "")
    assert "<" not in plain and ">" not in plain
    assert html.unescape(plain).replace("`", "") == text.replace("`", "")


def test_a_long_name_may_break_and_is_escaped() -> None:
    assert breakable("Recall_subset@1<") == "Recall_<wbr>subset@1&lt;"
