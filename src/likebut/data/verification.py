"""Verification of a data folder: every fault with its file and line."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from likebut.data.images import decode, list_images
from likebut.data.triplets import ImageRef, Triplet, row_faults, triplet_from_row
from likebut.errors import ImageError, InputError
from likebut.files import sha256_of
from likebut.progress import track

Severity = Literal["fault", "warning", "notice"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about a data folder.

    Attributes:
        severity: A fault must be fixed, a warning checked; a notice is information.
        where: The file, relative to the folder.
        line: The line in the file, if it has lines.
        problem: What is wrong, as a sentence.
    """

    severity: Severity
    where: str
    line: int | None
    problem: str

    def to_row(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of :func:`verify_folder`.

    Attributes:
        images: Number of image files.
        triplets: Number of valid triplets.
        findings: All findings, faults first.
    """

    images: int
    triplets: int
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(1 for finding in self.findings if finding.severity == severity)


def verify_folder(folder: Path) -> Verification:
    """Check the images, triplets, gallery and captions of a data folder.

    Raises:
        InputError: The folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Check the path.", "no-such-folder")
    check = _Check(folder)
    check.images()
    check.gallery()
    check.captions()
    check.triplets()
    order = {"fault": 0, "warning": 1, "notice": 2}
    findings = sorted(check.findings, key=lambda finding: order[finding.severity])
    return Verification(len(check.names), check.triplet_count, tuple(findings))


class _Check:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings: list[Finding] = []
        self.names: set[str] = set()
        self.galleries: dict[str, set[str]] = {}
        self.triplet_count = 0
        self.ids: dict[tuple[str, str], int] = {}
        self.queries: dict[tuple[str, str, str], tuple[int, frozenset[str]]] = {}

    def add(self, severity: Severity, where: str, line: int | None, problem: str) -> None:
        self.findings.append(Finding(severity, where, line, problem))

    def images(self) -> None:
        try:
            images = list_images(self.folder / "images")
        except InputError as error:
            self.add("fault", "images", None, error.problem)
            return
        self.names = {image.name for image in images}
        same_content: dict[str, list[str]] = defaultdict(list)
        with track("checking images", len(images), "images") as meter:
            for image in images:
                if self._decodes(image):
                    same_content[sha256_of(image.path)].append(image.name)
                meter.advance()
        for names in same_content.values():
            if len(names) > 1:
                self.add("notice", f"images/{names[0]}", None, f"It has the same content as {', '.join(names[1:])}.")

    def _decodes(self, image: ImageRef) -> bool:
        try:
            decode(image.path, least_side=32)
        except ImageError as error:
            self.add("fault", f"images/{image.name}", None, error.problem)
            return False
        return True

    def rows(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (line number, object) of a JSONL file; other lines are faults."""
        with (self.folder / name).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                except (ValueError, RecursionError) as error:
                    self.add("fault", name, number, f"The line is not valid JSON ({error}).")
                    continue
                if isinstance(row, dict):
                    yield number, row
                else:
                    self.add("fault", name, number, f"The line holds a {type(row).__name__}, not an object.")

    def gallery(self) -> None:
        name = "gallery.jsonl"
        if not (self.folder / name).is_file():
            return
        for number, row in self.rows(name):
            if not self._has_image_and_split(name, number, row):
                continue
            listed = self.galleries.setdefault(row["split"], set())
            if row["image"] in listed:
                self.add("warning", name, number, f'{row["image"]} is listed twice in the split "{row["split"]}".')
            listed.add(row["image"])

    def captions(self) -> None:
        name = "captions.jsonl"
        if not (self.folder / name).is_file():
            return
        for number, row in self.rows(name):
            texts = row.get("captions")
            self._has_image_and_split(name, number, row)
            if not isinstance(texts, list) or not texts or not all(isinstance(t, str) and t.strip() for t in texts):
                self.add("fault", name, number, '"captions" is not a list of strings.')

    def _has_image_and_split(self, name: str, number: int, row: dict[str, Any]) -> bool:
        wrong = [field for field in ("image", "split") if not isinstance(row.get(field), str)]
        for field in wrong:
            self.add("fault", name, number, f'"{field}" is missing or not a string.')
        if "image" not in wrong and row["image"] not in self.names:
            self.add("fault", name, number, f"There is no image {row['image']} below images/.")
        return not wrong

    def triplets(self) -> None:
        name = "triplets.jsonl"
        if not (self.folder / name).is_file():
            self.add("warning", name, None, "The file does not exist: the folder has images only.")
            return
        for number, row in self.rows(name):
            faults = row_faults(row, "The line")
            for fault in faults:
                self.add("fault", name, number, fault.problem)
            if not faults:
                self.triplet_count += 1
                self._check_triplet(number, triplet_from_row(row, "The line"))
        if not self.triplet_count:
            self.add("fault", name, None, "The file has no valid triplet.")

    def _check_triplet(self, number: int, triplet: Triplet) -> None:
        def add(severity: Severity, problem: str) -> None:
            self.add(severity, "triplets.jsonl", number, problem)

        for image in sorted(triplet.images() - self.names):
            add("fault", f"There is no image {image} below images/.")
        for problem in _inconsistencies(triplet):
            add("fault", problem)
        if triplet.reference in triplet.targets:
            add("warning", "The reference is among the targets.")
        gallery = self.galleries.get(triplet.split)
        if gallery is not None:
            for image in sorted({*triplet.targets, *triplet.subset, *triplet.hard_negatives} - gallery):
                is_target = image in triplet.targets
                what = "target" if is_target else "subset or hard-negative image"
                severity: Severity = "fault" if is_target else "warning"
                add(severity, f'The {what} {image} is not in the gallery of the split "{triplet.split}".')
        if triplet.id:
            first = self.ids.setdefault((triplet.split, triplet.id), number)
            if first != number:
                add("fault", f'The id "{triplet.id}" is already used in line {first}.')
        targets = frozenset(triplet.targets)
        query = (triplet.split, triplet.reference, " ".join(triplet.modification.lower().split()))
        earlier, known = self.queries.setdefault(query, (number, targets))
        if earlier != number:
            what = "the same targets" if known == targets else "other targets"
            add("warning", f"Line {earlier} has the same reference and modification text with {what}.")


def _inconsistencies(triplet: Triplet) -> Iterator[str]:
    if triplet.reference in triplet.subset:
        yield 'The reference is in "subset".'
    if triplet.subset and triplet.target not in triplet.subset:
        yield f'The target {triplet.target} is not in "subset".'
    if triplet.reference in triplet.hard_negatives:
        yield 'The reference is among "hard_negatives".'
    for field in ("targets", "subset", "hard_negatives"):
        for image, count in Counter(getattr(triplet, field)).items():
            if count > 1:
                yield f'{image} is listed {count} times in "{field}".'
