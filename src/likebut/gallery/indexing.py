"""Adding image files to a store, and keeping the store in step with the file system."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from likebut.data.images import SkippedImage, images_below
from likebut.errors import InputError
from likebut.files import is_gone, normal_path
from likebut.gallery.fields import FieldType, Value, infer_fields, typed_row
from likebut.gallery.identity import Embedder
from likebut.gallery.images import DecodedImage, ReadFile, read_ahead
from likebut.gallery.metadata import MetadataFile, SkippedLine
from likebut.gallery.requests import AddReport
from likebut.gallery.store import FileEntry, GalleryStore, NewImage, StoredImage
from likebut.progress import Meter

_BATCH = 32
_COMMIT_IMAGES = 128
_COMMIT_FILES = 1000
_COMMIT_SECONDS = 10.0
_UPDATE_BATCH = 1000
# A file that changes again within the clock's resolution keeps its modification time, so recent files are read again.
_SETTLED_NS = 2_000_000_000


def collect_files(paths: Sequence[Path]) -> tuple[list[Path], list[SkippedImage]]:
    """Return the files among ``paths`` and the image files below its folders, and folders that cannot be listed.

    Raises:
        InputError: A path does not exist, or a folder has no images.
    """
    files: list[Path] = []
    skipped: list[SkippedImage] = []
    for path in paths:
        if path.is_dir():
            images, unlisted = images_below(path)
            files += [image.path for image in images]
            skipped += unlisted
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"There is no file or folder {path}.", "Check the path.", code="missing-file")
    return files, skipped


class Indexer:
    """One run of adding files to a store.

    Work is committed every 128 images or ten seconds, images before the files that contain them. After a kill, a file
    whose image was committed is read again, but its image is not encoded again.

    Args:
        store: Receives the images.
        retriever: Embeds the images; its identity is the store's.
        metadata: Metadata for the images.
        meter: Receives the progress, in files.
    """

    def __init__(
        self, store: GalleryStore, retriever: Embedder, metadata: MetadataFile | None, meter: Meter | None
    ) -> None:
        self._store, self._retriever, self._metadata, self._meter = store, retriever, metadata, meter
        self._known = store.files()
        self._paths = paths_by_image(self._known.values())
        self._present = store.ids()
        self._rows: dict[str, dict[str, Value | None]] = {}  # path → metadata; None clears a value
        self._pending: list[tuple[ReadFile, DecodedImage]] = []  # to be embedded
        self._embedded: list[NewImage] = []  # to be committed
        self._entries: list[FileEntry] = []  # to be committed
        self._held_back = 0  # entries that the last commit retained
        self._replaced: dict[str, str] = {}  # path → id of the image that the file contained before
        self._moves: dict[str, str] = {}  # image id → new path
        self._stale: list[str] = []  # paths of entries to be removed
        self._committed_at = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._untouched: set[str] = set()
        self._skipped: list[SkippedImage] = []
        self._skipped_lines: list[SkippedLine] = []
        self._unread: set[str] = set()
        self._unreported = 0

    def run(self, paths: Sequence[Path]) -> AddReport:
        """Add files and return the outcome.

        Raises:
            InputError: A metadata value does not fit its field; nothing was added.
        """
        files = self._encodable(dict.fromkeys(normal_path(path) for path in paths))
        self._read_metadata(files)
        unread = []
        for path in files:
            if self._is_unchanged(path):
                self._count_unchanged(self._known[str(path)])
            else:
                unread.append(path)
        self._advance(len(files) - len(unread), now=True)
        for read in read_ahead(unread, self._present.__contains__):
            self._take(read)
        self._embed()
        self._commit()
        self._drop_replaced()
        self._update_paths(files)
        self._advance(0, now=True)
        self._update_metadata(files)
        usable = [path for path in map(str, files) if path not in self._unread]
        ids = [entry.image_id for path in usable if (entry := self._known.get(path)) and entry.image_id]
        return AddReport(
            **self._counts, ids=tuple(ids), skipped=tuple(self._skipped), skipped_metadata=tuple(self._skipped_lines)
        )

    def _encodable(self, paths: Iterable[Path]) -> list[Path]:
        """Return the paths that UTF-8 can encode; others are skipped, and not recorded in the store."""
        encodable = []
        for path in paths:
            try:
                str(path).encode()
                encodable.append(path)
            except UnicodeEncodeError:
                shown = str(path).encode(errors="replace").decode()
                self._skipped.append(SkippedImage(shown, "The file name is not valid UTF-8."))
                self._advance()
        return encodable

    def _read_metadata(self, files: Sequence[Path]) -> None:
        """Match the metadata to the files, and add its new fields to the store."""
        if self._metadata is None:
            return
        found, self._skipped_lines = self._metadata.match(files)
        known = {field.name: field.type for field in self._store.fields()}
        new = infer_fields((row.values for row in found.values()), known)
        types: Mapping[str, FieldType] = known | {field.name: field.type for field in new}
        for path, row in found.items():
            empty = dict.fromkeys(name for name in row.values if name in types)
            self._rows[str(path)] = {**empty, **typed_row(row.values, types, row.where)}
        self._store.add_fields(new)

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

    def _count_unchanged(self, entry: FileEntry) -> None:
        if entry.image_id is None:
            self._skipped.append(SkippedImage(entry.path, entry.reason))
        else:
            self._counts["unchanged"] += 1
            self._untouched.add(entry.image_id)

    def _take(self, read: ReadFile) -> None:
        if read.is_transient:
            # The content is unknown, so what the store knows of the file stays, and the next run reads it again.
            self._unread.add(read.path)
            self._skipped.append(SkippedImage(read.path, read.reason))
            self._advance()
            return
        before = self._known.get(read.path)
        before_id = before.image_id if before is not None else None
        if before_id is not None and before_id != read.image_id:
            self._replaced[read.path] = before_id
        self._record(FileEntry(read.path, read.image_id, read.file_bytes, read.modified_ns, read.reason), before_id)
        if read.image_id is None:
            self._skipped.append(SkippedImage(read.path, read.reason))
            self._advance()
        elif read.image is None or read.image_id in self._present:
            self._take_known(read.path, read.image_id, before_id)
            self._advance()
        else:
            self._present.add(read.image_id)
            self._pending.append((read, read.image))
            self._counts["added" if before_id in (None, read.image_id) else "updated"] += 1
        if len(self._pending) >= _BATCH:
            self._embed()
        due = time.monotonic() - self._committed_at > _COMMIT_SECONDS
        if len(self._embedded) >= _COMMIT_IMAGES or len(self._entries) - self._held_back >= _COMMIT_FILES or due:
            self._commit()

    def _record(self, entry: FileEntry, before_id: str | None) -> None:
        self._entries.append(entry)
        self._known[entry.path] = entry
        if before_id is not None:
            self._paths[before_id].discard(entry.path)
        if entry.image_id is not None:
            self._paths.setdefault(entry.image_id, set()).add(entry.path)

    def _take_known(self, path: str, image_id: str, before_id: str | None) -> None:
        """Count a file whose image is stored already: unchanged, a copy of another file, or moved."""
        others = self._paths[image_id] - {path}
        if before_id == image_id:
            self._counts["unchanged"] += 1
            self._untouched.add(image_id)
        elif not all(is_gone(Path(other)) for other in others):
            self._counts["copies"] += 1
        else:
            self._counts["moved"] += 1
            self._moves[image_id] = path
            self._stale.extend(others)
            self._paths[image_id] = {path}

    def _embed(self) -> None:
        if not self._pending:
            return
        embeddings = self._retriever.embed_images([image.image for _, image in self._pending])
        for (read, image), each in zip(self._pending, embeddings, strict=True):
            row = self._rows.get(read.path, {})
            stored = StoredImage(
                id=image.id,
                path=read.path,
                file_bytes=image.file_bytes,
                width=image.width,
                height=image.height,
                signature=image.signature,
                taken=image.taken,
                metadata={name: value for name, value in row.items() if value is not None},
            )
            self._embedded.append(NewImage(stored, each.astype(np.float16), image.thumbnail))
        self._advance(len(self._pending))
        self._pending.clear()

    def _commit(self) -> None:
        """Write pending changes to the store, file entries last: files without an entry are read again after a kill."""
        self._store.put(self._embedded)
        self._embedded.clear()
        moved = self._store.get(list(self._moves))
        self._store.update([replace(image, path=self._moves[image.id]) for image in moved.values()])
        self._moves.clear()
        # The image that a file contained before may be what a later file contains, so images are deleted only after
        # all files are read. Until then the file's entry is held back, so that after a kill it is read again and its
        # previous image is deleted then.
        held_back = {read.path for read, _ in self._pending}
        held_back |= {path for path, before_id in self._replaced.items() if not self._paths.get(before_id)}
        self._store.remove_files(self._stale)
        self._stale.clear()
        self._store.put_files([entry for entry in self._entries if entry.path not in held_back])
        self._entries = [entry for entry in self._entries if entry.path in held_back]
        self._held_back = len(self._entries)
        self._committed_at = time.monotonic()

    def _drop_replaced(self) -> None:
        """Delete images that no file contains any more, and update the paths of those that other files contain."""
        before = set(self._replaced.values())
        self._store.delete([image_id for image_id in before if not self._paths.get(image_id)])
        kept = self._store.get([image_id for image_id in before if self._paths.get(image_id)])
        elsewhere = [image for image in kept.values() if image.path not in self._paths[image.id]]
        self._store.update([replace(image, path=min(self._paths[image.id])) for image in elsewhere])
        self._replaced.clear()
        self._commit()

    def _update_paths(self, files: Sequence[Path]) -> None:
        """Point images of this run that several files contained to a file that still exists."""
        entries = [entry for path in files if (entry := self._known.get(str(path))) is not None]
        paths = {entry.image_id: self._paths[entry.image_id] for entry in entries if entry.image_id is not None}
        moved, gone = point_to_existing(self._store, {each: paths[each] for each in paths if len(paths[each]) > 1})
        for image_id, lost in gone.items():
            self._paths[image_id] -= lost
        count = len(moved & self._untouched)
        self._counts["moved"] += count
        self._counts["unchanged"] -= count

    def _update_metadata(self, files: Sequence[Path]) -> None:
        """Apply changed metadata to images that were stored before."""
        wanted: dict[str, Mapping[str, Value | None]] = {}
        for path in map(str, files):
            entry = self._known.get(path)
            if entry is not None and entry.image_id is not None and path in self._rows:
                wanted.setdefault(entry.image_id, self._rows[path])
        ids = list(wanted)
        for start in range(0, len(ids), _UPDATE_BATCH):
            changed = []
            for image in self._store.get(ids[start : start + _UPDATE_BATCH]).values():
                merged = {**image.metadata, **wanted[image.id]}
                metadata = {name: value for name, value in merged.items() if value is not None}
                if metadata != dict(image.metadata):
                    changed.append(replace(image, metadata=metadata))
            self._store.update(changed)
            self._counts["updated"] += len(changed)
            self._counts["unchanged"] -= sum(image.id in self._untouched for image in changed)

    def _advance(self, steps: int = 1, now: bool = False) -> None:
        """Report progress to the meter, a batch at a time."""
        self._unreported += steps
        if self._meter is not None and (self._unreported >= _BATCH or (now and self._unreported)):
            self._meter.advance(self._unreported)
            self._unreported = 0


def paths_by_image(entries: Iterable[FileEntry]) -> dict[str, set[str]]:
    """Return the paths of the files that contain each image."""
    paths: dict[str, set[str]] = {}
    for entry in entries:
        if entry.image_id is not None:
            paths.setdefault(entry.image_id, set()).add(entry.path)
    return paths


def remove_missing_files(store: GalleryStore, root: Path) -> tuple[int, list[SkippedImage]]:
    """Remove files that no longer exist below ``root``, and images that no other file contains.

    Files below a folder that cannot be listed are kept, because they may still exist.

    Returns:
        The number of images removed, and the folders that cannot be listed.

    Raises:
        InputError: ``root`` does not exist, or has no images.
    """
    images, unlisted = images_below(root)
    existing = {str(image.path) for image in images}
    hidden = [Path(each.name) for each in unlisted]
    gone = {
        name
        for name in store.files()
        if name not in existing
        and (path := Path(name)).is_relative_to(root)
        and not any(path.is_relative_to(folder) for folder in hidden)
    }
    paths = paths_by_image(store.files().values())
    touched = [image_id for image_id, held in paths.items() if not held.isdisjoint(gone)]
    removed = store.delete([image_id for image_id in touched if paths[image_id] <= gone])
    kept = store.get([image_id for image_id in touched if not paths[image_id] <= gone])
    store.update([replace(each, path=min(paths[each.id] - gone)) for each in kept.values() if each.path in gone])
    store.remove_files(sorted(gone))
    return removed, unlisted


def point_to_existing(
    store: GalleryStore, paths: Mapping[str, Collection[str]]
) -> tuple[set[str], dict[str, set[str]]]:
    """Remove files that no longer exist, and set the paths of their images to files that do.

    Args:
        store: Contains the images.
        paths: Image id → paths of its files. Images of which no file exists are left unchanged.

    Returns:
        The ids of images whose path changed, and the removed files of each image.
    """
    missing = {image_id: {path for path in held if is_gone(Path(path))} for image_id, held in paths.items()}
    gone = {image_id: lost for image_id, lost in missing.items() if lost and len(lost) < len(paths[image_id])}
    moved = [image for image in store.get(list(gone)).values() if image.path in gone[image.id]]
    store.update([replace(image, path=min(set(paths[image.id]) - gone[image.id])) for image in moved])
    store.remove_files([path for lost in gone.values() for path in lost])
    return {image.id for image in moved}, gone
