"""Formatting of numbers, durations and markup in reports."""

from markupsafe import Markup, escape

_NUMERALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def percent(value: float) -> str:
    """Return ``value`` with one decimal: "61.3"."""
    return f"{value:.1f}"


def interval(low: float, high: float) -> str:
    """Return "57.0 – 65.4"."""
    return f"{percent(low)} – {percent(high)}"


def count(number: int) -> str:
    """Return a number with separated thousands: "12 400"."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def numeral(number: int) -> str:
    """Return a number as a word up to ten, else in digits."""
    return _NUMERALS[number] if number < len(_NUMERALS) else count(number)


def ordinal(rank: int) -> str:
    """Return "third" for 3, or "no. 11" above ten."""
    return _ORDINALS[rank - 1] if rank <= len(_ORDINALS) else f"no. {rank}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return "1 pair", "2 pairs", "12 400 pairs"."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return "0.4 s", "38 s", "4 min 12 s" or "1 h 05 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def breakable(name: str) -> Markup:
    """Return ``name`` escaped for HTML, with a possible line break after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def with_code(text: str) -> Markup:
    """Return ``text`` escaped for HTML, with the parts between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else escape(part) for position, part in enumerate(parts)
    )
