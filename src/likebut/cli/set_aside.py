"""Telling people which images were not used."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from likebut.images import SetAside

_SHOWN = 10


def set_aside_lines(images: "Sequence[SetAside]", full_list: str) -> list[str]:
    """Return the lines that count and list images that were set aside, none if none was.

    Args:
        images: Which, and why.
        full_list: Where all of them are listed.
    """
    if not images:
        return []
    lines = [f"{len(images)} {'image was' if len(images) == 1 else 'images were'} set aside:"]
    lines += [f"  {image.name}: {image.reason}" for image in images[:_SHOWN]]
    if len(images) > _SHOWN:
        lines.append(f"  … and {len(images) - _SHOWN} more, listed in {full_list}.")
    return lines
