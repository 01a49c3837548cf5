"""Retrieval panels: a random sample of successful and of failed queries, drawn into one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont

from likebut.errors import InputError, require_extra
from likebut.evaluation.evaluator import RankedBenchmark
from likebut.files import atomic_path
from likebut.research.reports.contents import Panel, PanelHit, WrittenText
from likebut.research.reports.embedded_images import thumbnail
from likebut.research.reports.wording import count, plural

with require_extra("research"):
    import matplotlib

MISSED_BEYOND = 10

_HITS = 5
_PAPER, _INK, _FAINT, _LINE, _GOOD = "#ffffff", "#1f2328", "#59636e", "#d0d7de", "#12714d"
_SIDE, _GAP, _EDGE, _CAPTION, _TEXT_WIDTH, _BORDER = 160, 14, 24, 24, 250, 4
_MAX_LINES, _LINE_HEIGHT = 5, 20


@dataclass(frozen=True)
class ChosenPanels:
    """Panels, those of successful queries first.

    Attributes:
        rule: A sentence that states how they were chosen.
    """

    panels: list[Panel]
    rule: str


@dataclass(frozen=True, slots=True)
class _RankedQuery:
    """A query with a ranking.

    Attributes:
        position: Its position in the benchmark.
        rank: The rank of its first target; None if it is below the ranking's end.
    """

    ranked: RankedBenchmark
    position: int
    rank: int | None


def choose_panels(ranked: Sequence[RankedBenchmark], found: int, missed: int, seed: int) -> ChosenPanels:
    """Return the panels of a random sample of successful queries and of failed ones.

    A query is successful if a target is the first result, and failed if all its targets are below rank 10. If there
    are fewer queries of a kind than requested, all are returned. The results have no scores.

    Args:
        ranked: The benchmark, or its parts, with their rankings.
        found: Number of successful queries.
        missed: Number of failed queries.
        seed: Seed of the sample.

    Raises:
        InputError: No query is of a requested kind.
    """
    queries = [query for part in ranked for query in _ranked_queries(part)]
    good = [query for query in queries if query.rank == 1]
    bad = [query for query in queries if query.rank is None or query.rank > MISSED_BEYOND]
    samples = [_sample(good, found, seed), _sample(bad, missed, seed)]
    if not any(samples):
        raise InputError(
            f"No query is of the requested kind: of {plural(len(queries), 'query', 'queries')}, "
            f"{len(good)} succeeded and {len(bad)} failed.",
            "Request the other kind with --found or --missed.",
            code="no-panels",
        )
    kinds = [
        (len(samples[0]), len(good), "whose target is the first result"),
        (len(samples[1]), len(bad), f"whose target is below rank {MISSED_BEYOND}"),
    ]
    parts = [f"a random sample of {shown} of the {count(of)} {which}" for shown, of, which in kinds if shown]
    rule = f"Of {plural(len(queries), 'query', 'queries')}: {', then '.join(parts)} (seed {seed})."
    return ChosenPanels([_panel(query) for sample in samples for query in sample], rule)


def _ranked_queries(ranked: RankedBenchmark) -> list[_RankedQuery]:
    queries = zip(ranked.benchmark.queries, ranked.rankings.gallery, strict=True)
    return [
        _RankedQuery(
            ranked, position, next((rank for rank, name in enumerate(names, 1) if name in query.targets), None)
        )
        for position, (query, names) in enumerate(queries)
        if names
    ]


def _sample(queries: list[_RankedQuery], wanted: int, seed: int) -> list[_RankedQuery]:
    chosen = Random(seed).sample(range(len(queries)), min(wanted, len(queries)))
    return [queries[position] for position in sorted(chosen)]


def _panel(ranked_query: _RankedQuery) -> Panel:
    ranked, position = ranked_query.ranked, ranked_query.position
    benchmark, names = ranked.benchmark, ranked.rankings.gallery[position]
    query = benchmark.queries[position]
    return Panel(
        reference=benchmark.images[query.reference].path,
        modification=query.modification,
        hits=[PanelHit(benchmark.images[name].path, nan, name in query.targets) for name in names[:_HITS]],
        first_right=ranked_query.rank,
        depth=len(names),
    )


def verdict(panel: Panel) -> str:
    """Return a sentence that states the rank of the first target."""
    if panel.first_right is None:
        return f"No target is among the first {panel.depth} results."
    if panel.first_right == 1:
        return "The first result is a target."
    beyond = "" if panel.first_right <= len(panel.hits) else ", below those shown"
    return f"The first target has rank {panel.first_right}{beyond}."


def truth_of(sample: WrittenText) -> str:
    """Return the counts of a text's claims: "1 of 2 true changes, 1 false"."""
    false = sample.claimed - sample.right
    return f"{sample.right} of {plural(len(sample.changes), 'true change')}, {false} false"


def write_panel_image(panels: Sequence[Panel], path: Path, caption: str = "") -> None:
    """Draw panels below one another into a PNG file, atomically.

    Args:
        panels: The panels.
        path: The file.
        caption: A caption below the panels.

    Raises:
        InputError: There are no panels, or an image cannot be read.
    """
    if not panels:
        raise InputError("There are no panels to draw.", "Give at least one.", code="no-panels")
    hits = max(len(panel.hits) for panel in panels)
    width = 2 * _EDGE + _SIDE + _GAP + _TEXT_WIDTH + hits * (_SIDE + _GAP)
    height = 2 * _EDGE + len(panels) * (_SIDE + _CAPTION) + (len(panels) - 1) * _GAP
    lines = wrapped(caption, load_font(14), width - 2 * _EDGE) if caption else []
    foot = height
    height += len(lines) * _LINE_HEIGHT
    strip = Image.new("RGB", (width, height), _PAPER)
    for number, panel in enumerate(panels):
        _draw_panel(strip, panel, top=_EDGE + number * (_SIDE + _CAPTION + _GAP))
    for number, line in enumerate(lines):
        place = (_EDGE, foot - _EDGE / 2 + number * _LINE_HEIGHT)
        ImageDraw.Draw(strip).text(place, line, fill=_FAINT, font=load_font(14))
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
    large = load_font(18)
    lines = wrapped(f"“{text}”", large, _TEXT_WIDTH - 40)
    if len(lines) > _MAX_LINES:
        lines = [*lines[: _MAX_LINES - 1], lines[_MAX_LINES - 1] + " …"]
    block = "\n".join(lines)
    middle = top + _SIDE / 2
    draw.multiline_text((left, middle), block, fill=_INK, font=large, anchor="lm", spacing=6)
    tip = left + _TEXT_WIDTH - _GAP
    draw.line([(tip - 18, middle), (tip, middle)], fill=_FAINT, width=2)
    draw.line([(tip - 6, middle - 6), (tip, middle), (tip - 6, middle + 6)], fill=_FAINT, width=2, joint="curve")


def _draw_hit(strip: Image.Image, hit: PanelHit, rank: int, left: int, top: int) -> None:
    draw = ImageDraw.Draw(strip)
    _paste(strip, hit.path, left, top)
    if hit.right:
        box = [left - _BORDER, top - _BORDER, left + _SIDE + _BORDER - 1, top + _SIDE + _BORDER - 1]
        draw.rectangle(box, outline=_GOOD, width=_BORDER)
    label = f"{rank}  ✓ target" if hit.right else str(rank)
    _draw_caption(draw, label, left, top, _GOOD if hit.right else _FAINT)


def _draw_caption(draw: ImageDraw.ImageDraw, text: str, left: int, top: int, colour: str) -> None:
    draw.text((left + _SIDE / 2, top + _SIDE + _CAPTION / 2 + 2), text, fill=colour, font=load_font(14), anchor="mm")


def _paste(strip: Image.Image, path: Path, left: int, top: int) -> None:
    """Paste a thumbnail into the centre of its square, with a thin border."""
    image = thumbnail(path, _SIDE)
    ImageDraw.Draw(strip).rectangle([left - 1, top - 1, left + _SIDE, top + _SIDE], outline=_LINE)
    strip.paste(image, (left + (_SIDE - image.width) // 2, top + (_SIDE - image.height) // 2))


def load_font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font of the figures, ``size`` pixels high."""
    # matplotlib's own, so that figures are equal on every machine.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Return ``text`` in lines of at most ``width`` pixels, except for single wider words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
