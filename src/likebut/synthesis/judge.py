"""Verdicts over a whole run: which written texts are kept."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from likebut.synthesis.filters import KEPT, Filters, SameTexts
from likebut.synthesis.rows import SyntheticRow


def judged(rows: Iterable[SyntheticRow], filters: Filters, pairs: int) -> Iterator[SyntheticRow]:
    """Yield ``rows`` with their verdicts.

    A pair is kept if its modification text is; its reverse text may be dropped by itself. How often a text was
    written is counted over the run in the rows' order, so the rows of all shards must come, in order.

    Args:
        rows: All rows of a run.
        filters: What to look for.
        pairs: How many rows the run has.
    """
    same_texts = SameTexts(filters.settings.same_text_limit(pairs))
    for row in rows:
        status = _verdict(row.modification, row.rank, filters, same_texts)
        reverse_status = None
        if status == KEPT and row.reverse_modification is not None:
            reverse_status = _verdict(row.reverse_modification, row.reverse_rank, filters, same_texts)
        yield replace(row, status=status, reverse_status=reverse_status)


def _verdict(text: str, rank: int | None, filters: Filters, same_texts: SameTexts) -> str:
    fault = filters.fault_of(text, rank)
    if fault is None and same_texts.is_one_too_many(text):
        return "duplicate"
    return fault or KEPT
