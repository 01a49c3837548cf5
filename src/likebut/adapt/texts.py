"""The texts that a folder has for its images: metadata, captions, tags, folders, file names, what files say inside."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from likebut.adapt.columns import Column, Role, choose_columns, texts_in
from likebut.adapt.concepts import Described, key_of, tidy
from likebut.adapt.embedded import read_embedded
from likebut.adapt.paths import names_of_files, names_of_folders
from likebut.data.triplets import ImageRef
from likebut.errors import InputError
from likebut.files import read_jsonl
from likebut.gallery.metadata import find_metadata, read_metadata

_CLAUSE = re.compile(r"(?<=[.!?;])\s+|\s*[;\n]\s*")
_MOST_CLAUSES = 8
_LONG_NAME_WORDS = 10
_EXAMPLES = 5
_DOMINANT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class TextSource:
    """Where texts came from.

    Attributes:
        source: "column title", "folder names", …
        role: "name", "tags", "prose" or "attribute".
        images: How many images have a text from here.
        distinct: How many different texts there are.
    """

    source: str
    role: str
    images: int
    distinct: int


@dataclass(frozen=True)
class Coverage:
    """How many images have which texts.

    Attributes:
        images: All.
        with_text: Those with any text.
        sources: Where texts came from.
        examples: Image and its texts, five at most.
        warnings: What a reader of the result should know, a sentence each.
    """

    images: int
    with_text: int
    sources: tuple[TextSource, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the coverage as JSON holds it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the coverage as lines for a terminal."""
        lines = [f"{self.with_text} of {self.images} images have text"]
        lines += [
            f"  {each.source} ({each.role}): {each.images} images, {each.distinct} texts" for each in self.sources
        ]
        lines += [f"  {image}: {text}" for image, text in self.examples]
        return lines + [f"  warning: {text}" for text in self.warnings]


@dataclass
class _Gathered:
    """Texts of one image while they are gathered."""

    names: list[str] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)


def find_texts(
    folder: Path, images: Sequence[ImageRef], columns: Sequence[str] | None = None
) -> tuple[list[Described], Coverage]:
    """Return what is said of each of ``images``, in their order, and how much that is.

    Args:
        folder: The folder that was given; metadata lies in it or beside it.
        images: Its images.
        columns: The metadata columns to read and nothing else; if None every source is read.

    Raises:
        InputError: A column does not exist, or the metadata cannot be read.
    """
    gathered = {image.name: _Gathered() for image in images}
    sources: list[TextSource] = []
    _from_metadata(folder, images, columns, gathered, sources)
    if not columns:
        _from_captions(folder, gathered, sources)
        _from_embedded(images, gathered, sources)
        _from_paths([image.name for image in images], gathered, sources)
    found = [_described(image.name, gathered[image.name]) for image in images]
    return found, _coverage(found, sources)


def _from_metadata(
    folder: Path,
    images: Sequence[ImageRef],
    wanted: Sequence[str] | None,
    gathered: Mapping[str, _Gathered],
    sources: list[TextSource],
) -> None:
    path = find_metadata(folder)
    if path is None:
        if wanted:
            raise InputError(
                f'There is no metadata file in {folder}, so it has no column "{wanted[0]}".',
                "Put a metadata.csv or metadata.jsonl into the folder, or leave out --text.",
            )
        return
    metadata = read_metadata(path, folder)
    matched, _ = metadata.match([image.path for image in images])
    rows = {image.name: matched[image.path].values for image in images if image.path in matched}
    for column in choose_columns(list(rows.values()), wanted):
        texts = {image: texts_in(row.get(column.name), column.role) for image, row in rows.items()}
        _put(column, texts, gathered)
        _count(f"column {column.name}", column.role, texts, sources)


def _put(column: Column, texts: Mapping[str, list[str]], gathered: Mapping[str, _Gathered]) -> None:
    for image, found in texts.items():
        each = gathered[image]
        match column.role:
            case Role.ATTRIBUTE:
                if found:
                    each.attributes[column.name] = found[0]
            case Role.PROSE:
                each.prose += found
            case _:
                each.names += found


def _from_captions(folder: Path, gathered: Mapping[str, _Gathered], sources: list[TextSource]) -> None:
    path = folder / "captions.jsonl"
    if not path.is_file():
        return
    texts: dict[str, list[str]] = {}
    for _, row in read_jsonl(path):
        image, captions = row.get("image"), row.get("captions")
        if isinstance(image, str) and image in gathered and isinstance(captions, list):
            texts.setdefault(image, []).extend(str(text) for text in captions)
    _put(Column("captions", Role.PROSE), texts, gathered)
    _count("captions.jsonl", Role.PROSE, texts, sources)


def _from_embedded(images: Sequence[ImageRef], gathered: Mapping[str, _Gathered], sources: list[TextSource]) -> None:
    found = dict(zip((image.name for image in images), read_embedded([image.path for image in images]), strict=True))
    titles = {image: list(texts.titles) for image, texts in found.items()}
    captions = {image: list(texts.captions) for image, texts in found.items()}
    keywords = {image: list(texts.keywords) for image, texts in found.items()}
    for what, role, texts in (
        ("titles in files", Role.NAME, titles),
        ("captions in files", Role.PROSE, captions),
        ("keywords in files", Role.TAGS, keywords),
    ):
        # One text for all images is a program's, not a person's.
        if len({text for each in texts.values() for text in each}) < 2:
            continue
        _put(Column(what, role), texts, gathered)
        _count(what, role, texts, sources)


def _from_paths(images: Sequence[str], gathered: Mapping[str, _Gathered], sources: list[TextSource]) -> None:
    folders = names_of_folders(images)
    _put(Column("folder names", Role.NAME), folders, gathered)
    _count("folder names", Role.NAME, folders, sources)
    files = {image: [name] for image, name in names_of_files(images).items() if name}
    # Where few files are named by people, those names say little of the rest; where an image has a title, its file
    # name repeats it.
    unnamed = {image: texts for image, texts in files.items() if not gathered[image].names}
    if len(files) >= len(images) / 2 and len({name for [name] in files.values()}) > 1:
        _put(Column("file names", Role.NAME), unnamed, gathered)
        _count("file names", Role.NAME, unnamed, sources)


def _count(source: str, role: Role, texts: Mapping[str, list[str]], sources: list[TextSource]) -> None:
    having = sum(bool(found) for found in texts.values())
    if having:
        distinct = len({text for found in texts.values() for text in found})
        sources.append(TextSource(source, role.value, having, distinct))


def _described(image: str, gathered: _Gathered) -> Described:
    names: dict[str, str] = {}
    prose: dict[str, None] = {}
    for text in gathered.names:
        if len(text.split()) > _LONG_NAME_WORDS:
            prose |= dict.fromkeys(_clauses(text))
        elif tidied := tidy(text):
            names.setdefault(key_of(tidied), tidied)
    for text in gathered.prose:
        prose |= dict.fromkeys(_clauses(text))
    attributes = {column: tidy(value) for column, value in gathered.attributes.items()}
    return Described(image, tuple(names.values()), tuple(prose)[:_MOST_CLAUSES], attributes)


def _clauses(text: str) -> list[str]:
    # The query encoder reads 32 tokens; of 10,000 characters the first sentences are the telling ones.
    return [tidied for piece in _CLAUSE.split(text[:2000]) if len(tidied := tidy(piece)) > 1]


def _coverage(found: Sequence[Described], sources: Sequence[TextSource]) -> Coverage:
    told = [each for each in found if each.has_text]
    step = max(1, len(told) // _EXAMPLES)
    examples = tuple((each.image, _shown(each)) for each in told[::step][:_EXAMPLES])
    return Coverage(len(found), len(told), tuple(sources), examples, tuple(_warnings(found, told)))


def _shown(each: Described) -> str:
    attributes = [f"{column}: {value}" for column, value in each.attributes.items()]
    return "; ".join([*each.names[:3], *each.prose[:1], *attributes])[:160]


def _warnings(found: Sequence[Described], told: Sequence[Described]) -> list[str]:
    warnings = []
    if len(told) < 0.5 * len(found):
        warnings.append(f"only {len(told)} of {len(found)} images have any text")
    firsts = Counter(key_of(each.names[0]) for each in told if each.names)
    if firsts:
        [(name, count)] = firsts.most_common(1)
        if len(firsts) == 1 and len(told) > 1 and not any(each.prose or each.attributes for each in told):
            warnings.append(f'every text is "{name}": it distinguishes nothing')
        elif count > _DOMINANT_SHARE * len(told):
            warnings.append(f'"{name}" is the name of {count} of {len(told)} images with text')
    return warnings
