"""One text out of many: what a good part of them says.

The likeliest text names what is likelier than not and leaves out the rest: a colour of which the generator is 40 % sure
beside five others of 10 %. Measured by F1, naming pays from about half of the F1 that can be had (Lipton et al.,
"Optimal Thresholding of Classifiers to Maximize F1 Measure", ECML 2014). So many texts are drawn, and every clause is
written that a share of them has.
"""

import re
from collections import Counter
from collections.abc import Sequence

_BETWEEN = re.compile(r"\s*(?:,|;|\band\b)\s*")


def agreed_text(texts: Sequence[str], share: float) -> str:
    """Return the clauses that at least ``share`` of ``texts`` have, in the order that they have there.

    The commonest come first to be chosen. One that no text has together with an earlier choice contradicts it, as far
    as can be told, and is left out: of "in navy" and "in black" the commoner is written. Where no clause is common
    enough, as in free prose, it is the text that shares most words with the others.

    Args:
        texts: Drawn for one pair of images; clauses are what stands between commas, semicolons and "and".
        share: Between 0 and 1.
    """
    clauses = [_clauses(text) for text in texts]
    counts = Counter(clause for text in clauses for clause in text)
    chosen: list[str] = []
    for clause, count in counts.most_common():
        if count >= share * len(texts) and all(_stand_together(clause, other, clauses) for other in chosen):
            chosen.append(clause)
    if not chosen:
        return _most_like_the_others(texts)
    return _joint(texts).join(sorted(chosen, key=lambda clause: _mean_place(clause, clauses)))


def _clauses(text: str) -> list[str]:
    return [clause for part in dict.fromkeys(_BETWEEN.split(text)) if (clause := part.strip())]


def _joint(texts: Sequence[str]) -> str:
    """Return what stands between clauses in most of the texts that have several."""
    with_comma = sum("," in text for text in texts)
    return " and " if sum(" and " in text for text in texts) > with_comma else ", "


def _stand_together(one: str, other: str, texts: Sequence[Sequence[str]]) -> bool:
    return any(one in text and other in text for text in texts)


def _mean_place(clause: str, texts: Sequence[Sequence[str]]) -> float:
    """Return where in its texts a clause stands on average: 0 at the beginning, towards 1 at the end."""
    places = [text.index(clause) / len(text) for text in texts if clause in text]
    return sum(places) / len(places)


def _most_like_the_others(texts: Sequence[str]) -> str:
    """Return the text with the best mean F1 of its words against all texts; the first of equals."""
    words = [set(text.lower().split()) for text in texts]
    return texts[max(range(len(texts)), key=lambda index: sum(_overlap(words[index], other) for other in words))]


def _overlap(one: set[str], other: set[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0
