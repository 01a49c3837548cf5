"""Reading picture files ahead of the model, in threads."""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from likebut.data.images import SkippedImage, read_content
from likebut.errors import ImageError, UnreadableImageError
from likebut.files import is_absence, is_gone, normal_path
from likebut.gallery.fields import FieldType, Value, infer_fields, typed_row
from likebut.gallery.identity import Embedder
from likebut.gallery.images import Picture, content_id, read_picture
from likebut.gallery.metadata import MetadataFile
from likebut.gallery.requests import AddReport
from likebut.gallery.store import FileEntry, GalleryStore, NewImage, StoredImage, holders_of, name_after_present
from likebut.progress import Meter

# Enough to keep the model busy, few enough that large pictures fit in memory.
_AHEAD = 48


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that was read: a new picture, the id of a known one, or the reason why it cannot be used.

    Attributes:
        modified_ns: Modification time, taken before the content was read.
        may_pass: Whether the reason lies not in the content, as far as is known, but in reading it just now.
    """

    path: str
    file_bytes: int
    modified_ns: int
    image_id: str | None = None
    picture: Picture | None = None
    reason: str = ""
    may_pass: bool = False


def read_ahead(paths: Sequence[Path], is_known: Callable[[str], bool]) -> Iterator[ReadFile]:
    """Yield what is in each file, in the order given.

    Args:
        paths: Files.
        is_known: Whether an image with this id needs no decoding.
    """
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        ahead: deque[Future[ReadFile]] = deque()
        try:
            for path in paths:
                ahead.append(pool.submit(_read, path, is_known))
                if len(ahead) >= _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(path: Path, is_known: Callable[[str], bool]) -> ReadFile:
    name = str(path)
    try:
        status = path.stat()
    except OSError as error:
        reason = f"The file cannot be read ({error.strerror})."
        return ReadFile(name, 0, 0, reason=reason, may_pass=not is_absence(error))
    try:
        content = read_content(path)
        image_id = content_id(content)
        if is_known(image_id):
            return ReadFile(name, status.st_size, status.st_mtime_ns, image_id)
        return ReadFile(name, status.st_size, status.st_mtime_ns, image_id, read_picture(content))
    except ImageError as error:
        may_pass = isinstance(error, UnreadableImageError)
        return ReadFile(name, status.st_size, status.st_mtime_ns, reason=error.problem, may_pass=may_pass)


_BATCH = 32
_COMMIT_IMAGES = 128
_COMMIT_FILES = 1000
_COMMIT_SECONDS = 10.0
# A file changed again within the clock's tick keeps its time stamp, so young files are read again.
_SETTLED_NS = 2_000_000_000
_UPDATES_AT_ONCE = 1000


class Indexer:
    """One run of adding files to a store.

    Work is committed every 128 images or ten seconds, images before the files that hold them: after a kill, a file
    whose image is there is read once more, but not encoded.

    Args:
        store: Where the images go.
        retriever: Whose identity is the store's.
        metadata: What to attach to the images, by file.
        meter: Told of every file.
    """

    def __init__(
        self, store: GalleryStore, retriever: Embedder, metadata: MetadataFile | None, meter: Meter | None
    ) -> None:
        self._store, self._retriever, self._metadata, self._meter = store, retriever, metadata, meter
        self._known = store.files()
        self._holders = holders_of(self._known.values())
        self._present = store.ids()
        self._types: Mapping[str, FieldType] = {}
        self._pending: list[tuple[ReadFile, Picture]] = []
        self._embedded: list[NewImage] = []
        self._entries: list[FileEntry] = []
        self._held_back = 0
        self._replaced: dict[str, str] = {}  # path → the image that it held before
        self._moves: dict[str, str] = {}
        self._stale: list[str] = []
        self._committed_at = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._untouched: set[str] = set()
        self._skipped: list[SkippedImage] = []
        self._unread: set[Path] = set()
        self._untold = 0

    def run(self, paths: Sequence[Path]) -> AddReport:
        """Add files, and return what became of them.

        Raises:
            InputError: A metadata value does not fit its field; nothing was added.
        """
        files = self._nameable(dict.fromkeys(normal_path(path) for path in paths))
        rows = self._typed_metadata(files)
        unread = [path for path in files if not self._is_unchanged(path)]
        reading = set(unread)
        for path in files:
            if path not in reading:
                self._note_unchanged(self._known[str(path)])
        self._advance(len(files) - len(unread), now=True)
        for read in read_ahead(unread, self._present.__contains__):
            self._take(read, rows)
        self._embed(rows)
        self._commit()
        self._drop_replaced()
        self._name_anew(files)
        self._advance(0, now=True)
        self._update_metadata(files, rows)
        usable = [path for path in files if path not in self._unread]
        ids = [entry.image_id for path in usable if (entry := self._known.get(str(path))) and entry.image_id]
        return AddReport(**self._counts, ids=tuple(ids), skipped=tuple(self._skipped))

    def _nameable(self, paths: Iterable[Path]) -> list[Path]:
        """Return the paths that are text; others are set aside, and not remembered either."""
        nameable = []
        for path in paths:
            try:
                str(path).encode()
                nameable.append(path)
            except UnicodeEncodeError:
                shown = str(path).encode(errors="replace").decode()
                self._skipped.append(SkippedImage(shown, "The file's name is not UTF-8."))
                self._advance()
        return nameable

    def _typed_metadata(self, files: Sequence[Path]) -> dict[str, dict[str, Value]]:
        """Return each file's metadata, typed, after adding to the store the fields that it lacks."""
        if self._metadata is None:
            return {}
        found = {str(path): row for path in files if (row := self._metadata.of(path)) is not None}
        types = {field.name: field.type for field in self._store.fields()}
        new = infer_fields((row.values for row in found.values()), types)
        self._types = types | {field.name: field.type for field in new}
        rows = {path: typed_row(row.values, self._types, row.where) for path, row in found.items()}
        self._store.add_fields(new)
        return rows

    def _is_unchanged(self, path: Path) -> bool:
        entry = self._known.get(str(path))
        if entry is None or (entry.image_id is not None and entry.image_id not in self._present):
            return False
        try:
            status = path.stat()
        except OSError:
            return False
        settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
        return settled and (entry.file_bytes, entry.modified_ns) == (status.st_size, status.st_mtime_ns)

    def _note_unchanged(self, entry: FileEntry) -> None:
        if entry.image_id is None:
            self._skipped.append(SkippedImage(entry.path, entry.reason))
        else:
            self._counts["unchanged"] += 1
            self._untouched.add(entry.image_id)

    def _take(self, read: ReadFile, rows: Mapping[str, Mapping[str, Value]]) -> None:
        if read.may_pass:
            # What the file holds is not known, so nothing that is known of it changes, and the next run reads it again.
            self._unread.add(Path(read.path))
            self._skipped.append(SkippedImage(read.path, read.reason))
            self._advance()
            return
        before = self._known.get(read.path)
        before_id = before.image_id if before is not None else None
        if before_id is not None and before_id != read.image_id:
            self._replaced[read.path] = before_id
        self._remember(FileEntry(read.path, read.image_id, read.file_bytes, read.modified_ns, read.reason), before_id)
        if read.image_id is None:
            self._skipped.append(SkippedImage(read.path, read.reason))
            self._advance()
        elif read.picture is None or read.image_id in self._present:
            self._take_known(read.path, read.image_id, before_id)
            self._advance()
        else:
            self._present.add(read.image_id)
            self._pending.append((read, read.picture))
            self._counts["added" if before_id in (None, read.image_id) else "updated"] += 1
        if len(self._pending) >= _BATCH:
            self._embed(rows)
        due = time.monotonic() - self._committed_at > _COMMIT_SECONDS
        if len(self._embedded) >= _COMMIT_IMAGES or len(self._entries) - self._held_back >= _COMMIT_FILES or due:
            self._commit()

    def _remember(self, entry: FileEntry, before_id: str | None) -> None:
        self._entries.append(entry)
        self._known[entry.path] = entry
        if before_id is not None:
            self._holders[before_id].discard(entry.path)
        if entry.image_id is not None:
            self._holders.setdefault(entry.image_id, set()).add(entry.path)

    def _take_known(self, path: str, image_id: str, before_id: str | None) -> None:
        """Count a file whose image is there: unchanged, a copy of another file, or moved here."""
        others = self._holders[image_id] - {path}
        if before_id == image_id:
            self._counts["unchanged"] += 1
            self._untouched.add(image_id)
        elif not all(is_gone(Path(other)) for other in others):
            self._counts["copies"] += 1
        else:
            self._counts["moved"] += 1
            self._moves[image_id] = path
            self._stale.extend(others)
            self._holders[image_id] = {path}

    def _embed(self, rows: Mapping[str, Mapping[str, Value]]) -> None:
        if not self._pending:
            return
        embeddings = self._retriever.embed_images([picture.image for _, picture in self._pending])
        for (read, picture), each in zip(self._pending, embeddings, strict=True):
            image = StoredImage(
                id=picture.id,
                path=read.path,
                file_bytes=picture.file_bytes,
                width=picture.width,
                height=picture.height,
                signature=picture.signature,
                taken=picture.taken,
                metadata=dict(rows.get(read.path, {})),
            )
            self._embedded.append(NewImage(image, each.astype(np.float16), picture.thumbnail))
        self._advance(len(self._pending))
        self._pending.clear()

    def _commit(self) -> None:
        """Make what was embedded durable.

        Files come last: whatever a kill interrupts, they are then read again, and the rest is made good.
        """
        self._store.put(self._embedded)
        self._embedded.clear()
        moved = self._store.get(list(self._moves))
        self._store.update([replace(image, path=self._moves[image.id]) for image in moved.values()])
        self._moves.clear()
        # What a file held before may be what the next one holds, so nothing is removed before all files are read.
        # Until then such a file is not put down as read: after a kill it is read again, and its image removed then.
        pending = {read.path for read, _ in self._pending}
        pending |= {path for path, before_id in self._replaced.items() if not self._holders.get(before_id)}
        self._store.remove_files(self._stale)
        self._stale.clear()
        self._store.put_files([entry for entry in self._entries if entry.path not in pending])
        self._entries = [entry for entry in self._entries if entry.path in pending]
        self._held_back = len(self._entries)
        self._committed_at = time.monotonic()

    def _drop_replaced(self) -> None:
        """Remove the images that files held before and no file holds now; name those that others hold after them."""
        before = set(self._replaced.values())
        self._store.delete([image_id for image_id in before if not self._holders.get(image_id)])
        kept = self._store.get([image_id for image_id in before if self._holders.get(image_id)])
        elsewhere = [image for image in kept.values() if image.path not in self._holders[image.id]]
        self._store.update([replace(image, path=min(self._holders[image.id])) for image in elsewhere])
        self._replaced.clear()
        self._commit()

    def _name_anew(self, files: Sequence[Path]) -> None:
        """Name images of this run that other files held as well after one that is there, and forget those gone."""
        entries = [entry for path in files if (entry := self._known.get(str(path))) is not None]
        held = {entry.image_id: self._holders[entry.image_id] for entry in entries if entry.image_id is not None}
        renamed, gone = name_after_present(self._store, {each: held[each] for each in held if len(held[each]) > 1})
        for image_id, paths in gone.items():
            self._holders[image_id] -= paths
        again = len(renamed & self._untouched)
        self._counts["moved"] += again
        self._counts["unchanged"] -= again

    def _update_metadata(self, files: Sequence[Path], rows: Mapping[str, Mapping[str, Value]]) -> None:
        """Give images that were there already the metadata that changed."""
        wanted: dict[str, Mapping[str, Value]] = {}
        for path in files:
            entry = self._known.get(str(path))
            if entry is not None and entry.image_id is not None and str(path) in rows:
                wanted.setdefault(entry.image_id, rows[str(path)])
        ids = list(wanted)
        for start in range(0, len(ids), _UPDATES_AT_ONCE):
            images = self._store.get(ids[start : start + _UPDATES_AT_ONCE])
            changed = [
                replace(image, metadata=dict(image.metadata) | dict(wanted[image.id]))
                for image in images.values()
                if any(image.metadata.get(name) != value for name, value in wanted[image.id].items())
            ]
            self._store.update(changed)
            self._counts["updated"] += len(changed)
            self._counts["unchanged"] -= sum(image.id in self._untouched for image in changed)

    def _advance(self, steps: int = 1, now: bool = False) -> None:
        """Tell the meter, not of every file but of as many as a batch holds."""
        self._untold += steps
        if self._meter is not None and (self._untold >= _BATCH or (now and self._untold)):
            self._meter.advance(self._untold)
            self._untold = 0
