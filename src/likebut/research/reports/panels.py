"""Choosing retrieval panels by a rule that can be stated: some that were found, some that were missed, by lot."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont

from likebut.errors import InputError, require_extra
from likebut.evaluation.evaluator import RankedBenchmark
from likebut.files import atomic_path
from likebut.research.reports.contents import Hit, Panel, WrittenText
from likebut.research.reports.embedded_images import thumbnail
from likebut.research.reports.wording import count, plural

with require_extra("research"):
    import matplotlib

MISSED_BEYOND = 10
_HITS = 5


@dataclass(frozen=True)
class ChosenPanels:
    """Panels, those that were found first.

    Attributes:
        rule: How they were chosen, in sentences.
    """

    panels: list[Panel]
    rule: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query that could be asked, and the first place of a right image; None beyond the ranking's end."""

    ranked: RankedBenchmark
    position: int
    place: int | None


def choose_panels(ranked: Sequence[RankedBenchmark], found: int, missed: int, seed: int) -> ChosenPanels:
    """Return panels drawn by lot among queries that were found and among those that were missed.

    Found is a query with a right image in first place; missed is one whose right images all lie beyond place 10.
    Where there are fewer of a kind than are asked for, all of them are taken. A panel's results have no scores.

    Args:
        ranked: The benchmark, or its parts, with their rankings.
        found: How many panels of queries that were found.
        missed: How many of queries that were missed.
        seed: Of the lot.

    Raises:
        InputError: There is no query to draw.
    """
    asked = [query for part in ranked for query in _asked(part)]
    good = [query for query in asked if query.place == 1]
    bad = [query for query in asked if query.place is None or query.place > MISSED_BEYOND]
    drawn = [_drawn(good, found, seed), _drawn(bad, missed, seed)]
    if not any(drawn):
        raise InputError(
            f"Of {plural(len(asked), 'query', 'queries')} {len(good)} were found and {len(bad)} missed: "
            "none is left to draw.",
            "Ask for the other kind with --found or --missed.",
        )
    return ChosenPanels([_panel(query) for part in drawn for query in part], _rule(drawn, good, bad, len(asked), seed))


def _asked(ranked: RankedBenchmark) -> list[_Asked]:
    queries = zip(ranked.benchmark.queries, ranked.rankings.gallery, strict=True)
    return [
        _Asked(ranked, position, next((place for place, name in enumerate(names, 1) if name in query.targets), None))
        for position, (query, names) in enumerate(queries)
        if names
    ]


def _drawn(queries: list[_Asked], wanted: int, seed: int) -> list[_Asked]:
    chosen = Random(seed).sample(range(len(queries)), min(wanted, len(queries)))
    return [queries[position] for position in sorted(chosen)]


def _panel(query: _Asked) -> Panel:
    benchmark = query.ranked.benchmark
    asked, names = benchmark.queries[query.position], query.ranked.rankings.gallery[query.position]
    return Panel(
        reference=benchmark.images[asked.reference].path,
        modification=asked.modification,
        hits=[Hit(benchmark.images[name].path, nan, name in asked.targets) for name in names[:_HITS]],
        first_right=query.place,
        depth=len(names),
    )


def _rule(drawn: Sequence[list[_Asked]], good: list[_Asked], bad: list[_Asked], asked: int, seed: int) -> str:
    kinds = [
        (len(drawn[0]), len(good), "whose target is in first place"),
        (len(drawn[1]), len(bad), f"whose target is beyond place {MISSED_BEYOND}"),
    ]
    parts = [f"{shown} drawn by lot among the {count(of)} {which}" for shown, of, which in kinds if shown]
    return f"Of {plural(asked, 'query', 'queries')}: {', then '.join(parts)} (seed {seed})."


_PAPER, _INK, _FAINT, _LINE, _GOOD = "#ffffff", "#1f2328", "#59636e", "#d0d7de", "#12714d"
_SIDE, _GAP, _EDGE, _CAPTION, _TEXT_WIDTH, _BORDER = 160, 14, 24, 24, 250, 4
_MOST_LINES, _LINE_HEIGHT = 5, 20


def verdict(panel: Panel) -> str:
    """Return one sentence on where the first right image came out."""
    if panel.first_right is None:
        return f"No right image is among the first {panel.depth} results."
    if panel.first_right == 1:
        return "The first result is right."
    beyond = "" if panel.first_right <= len(panel.hits) else ", below those shown"
    return f"The first right image has rank {panel.first_right}{beyond}."


def truth_of(sample: WrittenText) -> str:
    """Return what a written text names: "1 of 2 true changes, 1 false"."""
    wrong = sample.claimed - sample.right
    false = f"{wrong} false" if wrong else "nothing false"
    return f"{sample.right} of {plural(len(sample.changes), 'true change')}, {false}"


def write_panel_image(panels: Sequence[Panel], path: Path, caption: str = "") -> None:
    """Draw panels below one another into a PNG file, atomically.

    Args:
        panels: What to draw.
        path: The file.
        caption: What stands below them all.

    Raises:
        InputError: There are no panels, or a picture cannot be read.
    """
    if not panels:
        raise InputError("There are no panels to draw.", "Give at least one.")
    hits = max(len(panel.hits) for panel in panels)
    width = 2 * _EDGE + _SIDE + _GAP + _TEXT_WIDTH + hits * (_SIDE + _GAP)
    height = 2 * _EDGE + len(panels) * (_SIDE + _CAPTION) + (len(panels) - 1) * _GAP
    lines = wrapped(caption, font(14), width - 2 * _EDGE) if caption else []
    foot = height
    height += len(lines) * _LINE_HEIGHT
    strip = Image.new("RGB", (width, height), _PAPER)
    for number, panel in enumerate(panels):
        _draw_panel(strip, panel, top=_EDGE + number * (_SIDE + _CAPTION + _GAP))
    for number, line in enumerate(lines):
        place = (_EDGE, foot - _EDGE / 2 + number * _LINE_HEIGHT)
        ImageDraw.Draw(strip).text(place, line, fill=_FAINT, font=font(14))
    with atomic_path(path) as temporary:
        strip.save(temporary, "PNG", optimize=True)


def _draw_panel(strip: Image.Image, panel: Panel, top: int) -> None:
    draw = ImageDraw.Draw(strip)
    _paste(strip, panel.reference, _EDGE, top)
    _draw_caption(draw, "reference", _EDGE, top, _FAINT)
    _draw_text(draw, panel.modification, _EDGE + _SIDE + _GAP, top)
    for place, hit in enumerate(panel.hits):
        left = _EDGE + _SIDE + _GAP + _TEXT_WIDTH + place * (_SIDE + _GAP)
        _draw_hit(strip, hit, place + 1, left, top)


def _draw_text(draw: ImageDraw.ImageDraw, text: str, left: int, top: int) -> None:
    large = font(18)
    lines = wrapped(f"“{text}”", large, _TEXT_WIDTH - 40)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1] + " …"]
    block = "\n".join(lines)
    middle = top + _SIDE / 2
    draw.multiline_text((left, middle), block, fill=_INK, font=large, anchor="lm", spacing=6)
    tip = left + _TEXT_WIDTH - _GAP
    draw.line([(tip - 18, middle), (tip, middle)], fill=_FAINT, width=2)
    draw.line([(tip - 6, middle - 6), (tip, middle), (tip - 6, middle + 6)], fill=_FAINT, width=2, joint="curve")


def _draw_hit(strip: Image.Image, hit: Hit, rank: int, left: int, top: int) -> None:
    draw = ImageDraw.Draw(strip)
    _paste(strip, hit.path, left, top)
    if hit.right:
        box = [left - _BORDER, top - _BORDER, left + _SIDE + _BORDER - 1, top + _SIDE + _BORDER - 1]
        draw.rectangle(box, outline=_GOOD, width=_BORDER)
    label = f"{rank}  ✓ right" if hit.right else str(rank)
    _draw_caption(draw, label, left, top, _GOOD if hit.right else _FAINT)


def _draw_caption(draw: ImageDraw.ImageDraw, text: str, left: int, top: int, colour: str) -> None:
    draw.text((left + _SIDE / 2, top + _SIDE + _CAPTION / 2 + 2), text, fill=colour, font=font(14), anchor="mm")


def _paste(strip: Image.Image, path: Path, left: int, top: int) -> None:
    """Lay a picture into the middle of its square, a thin line around the square."""
    picture = thumbnail(path, _SIDE)
    ImageDraw.Draw(strip).rectangle([left - 1, top - 1, left + _SIDE, top + _SIDE], outline=_LINE)
    strip.paste(picture, (left + (_SIDE - picture.width) // 2, top + (_SIDE - picture.height) // 2))


def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font of pictures, ``size`` pixels high."""
    # It comes with matplotlib, so that the picture is the same on every machine.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def wrapped(text: str, written_in: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Return ``text`` in lines no wider than ``width`` pixels, unless a single word is."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and written_in.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
