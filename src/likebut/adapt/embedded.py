"""Captions and keywords inside image files: IPTC, XMP and EXIF."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

from PIL import Image, IptcImagePlugin

from likebut.errors import IMAGE_DAMAGE

_IPTC_NAMES = ((2, 5), (2, 105))  # object name, headline
_IPTC_CAPTION, _IPTC_KEYWORDS = (2, 120), (2, 25)
_EXIF_DESCRIPTION, _XP_TITLE, _XP_SUBJECT, _XP_KEYWORDS = 0x010E, 0x9C9B, 0x9C9F, 0x9C9E
_XMP = {
    "title": re.compile(r"<dc:title>(.*?)</dc:title>", re.DOTALL),
    "description": re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL),
    "subject": re.compile(r"<dc:subject>(.*?)</dc:subject>", re.DOTALL),
}
_XMP_ITEM = re.compile(r"<rdf:li[^>]*>(.*?)</rdf:li>", re.DOTALL)
# What cameras write into the description by themselves.
_DEVICE_TEXTS = re.compile(
    r"\s*(OLYMPUS DIGITAL CAMERA|SONY DSC|KODAK.*|DCF\s*1\.0|SAMSUNG.*|MINOLTA.*|default)\s*", re.I
)
_THREADS = 8
_UNREADABLE: tuple[type[Exception], ...] = (*IMAGE_DAMAGE, Image.DecompressionBombError)


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """What a file says of its own image."""

    titles: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether it says anything."""
        return bool(self.titles or self.captions or self.keywords)


def read_embedded(paths: Sequence[Path]) -> list[EmbeddedTexts]:
    """Return what each file's header says; of a file that cannot be read, nothing."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(embedded_in, paths))


def embedded_in(path: Path) -> EmbeddedTexts:
    """Return what one file's header says; its pixels are not decoded."""
    try:
        with Image.open(path) as image:
            iptc = IptcImagePlugin.getiptcinfo(image) or {}
            exif = image.getexif()
            xmp = _xmp_of(image.info.get("xmp"))
    except _UNREADABLE:
        return EmbeddedTexts()
    titles = [*(_text(iptc.get(key)) for key in _IPTC_NAMES), *xmp["title"], _text(exif.get(_XP_TITLE))]
    captions = [_text(iptc.get(_IPTC_CAPTION)), *xmp["description"], _text(exif.get(_EXIF_DESCRIPTION))]
    captions.append(_text(exif.get(_XP_SUBJECT)))
    keywords = [*_texts(iptc.get(_IPTC_KEYWORDS)), *xmp["subject"], *_text(exif.get(_XP_KEYWORDS)).split(";")]
    return EmbeddedTexts(_clean(titles), _clean(captions), _clean(keywords))


def _xmp_of(raw: Any) -> dict[str, list[str]]:
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw if isinstance(raw, str) else ""
    found = {}
    for name, pattern in _XMP.items():
        block = pattern.search(text)
        found[name] = [unescape(item) for item in _XMP_ITEM.findall(block[1])] if block else []
    return found


def _texts(value: Any) -> list[str]:
    return [_text(item) for item in value] if isinstance(value, list) else [_text(value)]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        # Windows' own fields are UTF-16; everything else is UTF-8 or, in old files, Latin-1.
        if len(value) > 3 and value[1::2].count(0) > len(value) // 4:
            return value.decode("utf-16-le", "replace").rstrip("\0")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def _clean(texts: Sequence[str]) -> tuple[str, ...]:
    stripped = (text.replace("\0", " ").strip() for text in texts)
    return tuple(dict.fromkeys(text for text in stripped if text and not _DEVICE_TEXTS.fullmatch(text)))
