from helpers.synthesis_fakes import filters
from likebut.data.synthetic_triplets import SyntheticRow
from likebut.synthesis.filters import apply_filters


def row(number: int, text: str, reverse: str | None = None, rank: int | None = None, back: int | None = None):
    return SyntheticRow(number, "a", "b", text, "{}", reverse_modification=reverse, rank=rank, reverse_rank=back)


def statuses(rows: list[SyntheticRow], **settings: object) -> list[tuple[str | None, str | None]]:
    return [(item.status, item.reverse_status) for item in apply_filters(rows, filters(["bad"], **settings), len(rows))]


def test_a_reverse_text_is_dropped_alone_or_with_its_pair() -> None:
    rows = [
        row(0, "in red", "in blue"),
        row(1, "in red", "bad"),
        row(2, "", "in blue"),
        row(3, "in red"),
        row(4, "in red", "in blue", rank=2, back=6),
        row(5, "in red", "in blue", rank=6, back=1),
    ]
    assert statuses(rows, round_trip_rank=5) == [
        ("kept", "kept"),
        ("kept", "blocked"),
        ("empty", None),
        ("kept", None),
        ("kept", "round trip"),
        ("round trip", None),
    ]


def test_duplicates_are_counted_over_the_run_in_both_directions() -> None:
    rows = [
        row(0, "in red", "In red."),
        row(1, "in red", "in blue"),
        row(2, "in blue", "in red"),
        row(3, "in blue", "x y"),
    ]
    assert statuses(rows, same_text_share=0.1, same_text_least=2) == [
        ("kept", "kept"),
        ("duplicate", None),
        # The reverse text of a pair that was dropped does not count.
        ("kept", "duplicate"),
        ("kept", "kept"),
    ]
    assert statuses(rows, same_text_share=None)[1] == ("kept", "kept")


def test_texts_dropped_for_another_reason_are_no_duplicates() -> None:
    rows = [row(0, "in red", rank=9), row(1, "in red", rank=1), row(2, "in red", rank=1)]
    found = statuses(rows, round_trip_rank=5, same_text_share=0.1, same_text_least=1)
    assert [status for status, _ in found] == ["round trip", "kept", "duplicate"]


def test_only_the_status_changes() -> None:
    before = row(7, "in red", "in blue", rank=1)
    [after] = apply_filters([before], filters(), 1)
    assert after == SyntheticRow(
        7, "a", "b", "in red", "{}", reverse_modification="in blue", rank=1, status="kept", reverse_status="kept"
    )
