"""The resident read path of a Lance gallery: memory-mapped embeddings with a FAISS index, refreshed by table version.

Searching Lance tables directly takes about ten times as long as the search itself. :meth:`ResidentIndex.build`
therefore writes a snapshot of the images table next to it: embeddings as float16, an IVF index of RaBitQ codes over all
tokens, and the card of each image. Readers map the files into memory, so that all processes share one copy. Rows that
were added or changed since then are compared exactly, and those that were deleted are masked, so that every search sees
the current version of the table.
"""

import os
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from likebut.gallery.fields import Field
from likebut.gallery.filters import Condition
from likebut.gallery.lance_schema import (
    CARD,
    VECTORS,
    columns_of,
    embeddings_from_table,
    fields_of,
    images_from_cards,
    to_expression,
)
from likebut.gallery.lance_tables import RESIDENT_FOLDER
from likebut.gallery.similarity import l2_normalise, score
from likebut.gallery.snapshot import Mask, Positions, Rows, Selection, Snapshot, write_snapshot
from likebut.gallery.store import Candidate, SearchEffort, TargetEmbeddings, Vector

_BATCH_ROWS = 2048
# A snapshot is rebuilt when more than this fraction of the rows was added, changed or deleted since, and not used when
# more than the second fraction was: comparing these rows exactly would then take longer than a search without it.
_MAX_OUTDATED_FRACTION = 0.05
_MAX_USED_FRACTION = 0.5
_MIN_OUTDATED = 1000
_CACHED_FILTERS = 64


def is_available() -> bool:
    """Return whether FAISS is installed."""
    return find_spec("faiss") is not None


def default_memory() -> int:
    """Return the default limit for a snapshot in bytes: ``$LIKEBUT_RESIDENT_MB``, else half of the physical memory."""
    configured = os.environ.get("LIKEBUT_RESIDENT_MB", "")
    if configured.isdecimal():
        return int(configured) << 20
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return 4 << 30


class ResidentIndex:
    """Searches an images table through a snapshot of it.

    Args:
        location: Folder of the gallery.
        open_table: Opens the images table; the result may be checked out at a version.
        setting: Reads a setting of the gallery.
        set_setting: Stores a setting of the gallery.
        tokens: N.
        width: E.
        memory: Largest snapshot that is built or used, in bytes.
    """

    def __init__(
        self,
        location: Path,
        open_table: Callable[[], Any],
        setting: Callable[[str], Any],
        set_setting: Callable[[str, Any], None],
        tokens: int,
        width: int,
        memory: int,
    ) -> None:
        self._folder = location / RESIDENT_FOLDER
        self._versions = location / "images.lance" / "_versions"
        self._open_table, self._setting, self._set_setting = open_table, setting, set_setting
        self._tokens, self._width, self._memory = tokens, width, memory
        self._view: _View | None = None
        self._state: tuple[int | str, ...] | None = None
        self._lock = threading.Lock()

    def fits(self, images: int) -> bool:
        """Return whether a snapshot of so many images is within the memory limit."""
        return images * self._tokens * (2 * self._width + self._width // 8 + 16) <= self._memory

    def view(self, any_age: bool = False) -> "_View | None":
        """Return the current version of the table through the snapshot.

        Args:
            any_age: Whether to return a view even if too much changed since the snapshot for it to be fast.

        Returns:
            None if there is no usable snapshot.
        """
        state = self._current_state()
        if state != self._state:
            with self._lock:
                if state != self._state:
                    self._view = self._refreshed()
                    self._state = state
        view = self._view
        return view if view is not None and (any_age or view.is_fast) else None

    def build(self) -> None:
        """Write a snapshot of the current version of the table, replacing the previous one."""
        name = uuid.uuid4().hex
        self._folder.mkdir(exist_ok=True)
        table = self._open_table()
        version = table.version
        table.checkout(version)
        partial = self._folder / f"{name}.tmp"
        view = self.view(any_age=True)
        previous = view.snapshot.folder if view is not None else None
        try:
            write_snapshot(partial, _batches(table), self._tokens, self._width, version, previous)
            # Readers look the name up when the folder changes, so it is set before the rename.
            self._set_setting("resident", name)
            partial.rename(self._folder / name)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        for other in self._folder.iterdir():
            if other.name != name:
                shutil.rmtree(other, ignore_errors=True)  # readers that map its files keep them

    def _current_state(self) -> tuple[int | str, ...]:
        """Return numbers that change with the version of the table and with the snapshot."""
        try:
            # Listing the manifests takes a tenth of asking the engine for the version. Their names tell the versions;
            # the folder tells a table that was dropped and created again.
            manifests = [entry.name for entry in os.scandir(self._versions) if entry.name.endswith(".manifest")]
            if not manifests:
                return ()
            versions = self._versions.stat()
            snapshots = self._folder.stat().st_mtime_ns if self._folder.is_dir() else 0
        except OSError:
            return ()
        return snapshots, versions.st_ino, versions.st_mtime_ns, len(manifests), min(manifests), max(manifests)

    def _snapshot_folder(self) -> Path | None:
        name = self._setting("resident") if self._folder.is_dir() else None
        return self._folder / name if name and (self._folder / name).is_dir() else None

    def _refreshed(self) -> "_View | None":
        folder = self._snapshot_folder()
        if folder is None:
            return None
        before = self._view
        try:
            known = before is not None and before.snapshot.folder == folder
            snapshot = before.snapshot if known and before else Snapshot(folder, self._tokens, self._width)
        except (OSError, ValueError, RuntimeError, KeyError):
            return None  # removed concurrently, or damaged; the next build replaces it
        if not self.fits(len(snapshot)):
            return None
        table = self._open_table()
        table.checkout(table.version)
        return _view_of(table, snapshot, before if known else None)


@dataclass(frozen=True)
class _View:
    """One version of the table: a snapshot, its rows that still exist, and the rows that were added since.

    Attributes:
        table: The images table, checked out at the version.
        alive: The images of the snapshot that still exist; None if all do.
        rows: Rows that are not in the snapshot.
        version: Its version.
        embeddings: Their embeddings: (D, N, E).
    """

    table: Any
    snapshot: Snapshot
    alive: Selection | None
    rows: Rows
    version: int
    embeddings: TargetEmbeddings
    fields: dict[str, tuple[Field, str]]
    columns: dict[str, str]
    _filtered: OrderedDict[tuple[Condition, ...], tuple[Selection, Mask]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def outdated(self) -> int:
        """Number of rows that were added, changed or deleted since the snapshot."""
        deleted = 0 if self.alive is None else len(self.snapshot) - self.alive.count
        return max(len(self.rows), deleted)

    @property
    def kind(self) -> str:
        """Type of the index, for the state of the store."""
        return "IvfRaBitQ" if self.snapshot.is_indexed else "exact"

    @property
    def is_fast(self) -> bool:
        """Whether searching the view is faster than searching the table."""
        return self.outdated <= max(_MIN_OUTDATED, _MAX_USED_FRACTION * len(self.snapshot))

    @property
    def is_due(self) -> bool:
        """Whether the snapshot should be rebuilt."""
        return self.outdated > _MAX_OUTDATED_FRACTION * max(len(self.snapshot), 1)

    def nearest(
        self, query: Vector, limit: int, conditions: Sequence[Condition], effort: SearchEffort, exact: bool
    ) -> list[Candidate]:
        """Return at most ``limit`` images near the (E,) query."""
        query = l2_normalise(query)
        selection, added = self.alive, np.ones(len(self.rows), dtype=np.bool_)
        if conditions:
            selection, added = self._matching(tuple(conditions))
        positions, embeddings = self.snapshot.nearest(query, limit, selection, effort, exact)
        if added.any():
            chosen = np.flatnonzero(added)
            positions = np.concatenate([positions, chosen + len(self.snapshot)])
            embeddings = np.concatenate([embeddings, self.embeddings[chosen]])
            best = np.argsort(-score(query, embeddings), kind="stable")[:limit]
            positions, embeddings = positions[best], embeddings[best]
        images = images_from_cards(self._cards(positions), self.fields)
        return [Candidate(*pair) for pair in zip(images, embeddings, strict=True)]

    def _cards(self, positions: Positions) -> list[str]:
        """Return the cards of images of the snapshot and, counted after those, of added rows."""
        if self.version == self.snapshot.version:
            return self.snapshot.cards(positions)
        # Metadata may have changed: the engine updates it in place, so that the row id stays the same.
        count = len(self.snapshot)
        rows = [int(self.snapshot.rows[each] if each < count else self.rows[each - count]) for each in positions]
        if not rows:
            return []
        found = self.table.take_row_ids(rows).with_row_id().select([CARD]).to_arrow()
        cards = dict(zip(found["_rowid"].to_pylist(), found[CARD].to_pylist(), strict=True))
        return [cards[row] for row in rows]

    def _matching(self, conditions: tuple[Condition, ...]) -> tuple[Selection, Mask]:
        """Return which images of the snapshot and which added rows satisfy the conditions."""
        with self._lock:
            if conditions in self._filtered:
                self._filtered.move_to_end(conditions)
                return self._filtered[conditions]
        where = to_expression(conditions, self.columns)
        rows = _row_ids(self.table, where)
        positions = self.snapshot.positions_of(rows)
        mask = np.zeros(len(self.snapshot), dtype=np.bool_)
        mask[positions[positions >= 0]] = True
        found = Selection(mask, self.snapshot.tokens), np.isin(self.rows, rows)
        with self._lock:
            self._filtered[conditions] = found
            while len(self._filtered) > _CACHED_FILTERS:
                self._filtered.popitem(last=False)
        return found


def _view_of(table: Any, snapshot: Snapshot, before: _View | None) -> _View:
    """Return the checked-out version of a table as a view; rows that ``before`` read are not read again."""
    rows = _row_ids(table)
    positions = snapshot.positions_of(rows)
    alive = np.zeros(len(snapshot), dtype=np.bool_)
    alive[positions[positions >= 0]] = True
    added = rows[positions < 0]
    known = {} if before is None else {row: index for index, row in enumerate(before.rows.tolist())}
    kept = [known[row] for row in added.tolist() if row in known]
    new = [row for row in added.tolist() if row not in known]
    kept_rows = before.rows[kept] if before is not None else np.empty(0, dtype=np.uint64)
    embeddings = before.embeddings[kept] if before is not None and kept else None
    if new:
        fetched = table.take_row_ids(new).with_row_id().select([VECTORS]).to_arrow()
        new_embeddings = embeddings_from_table(fetched, snapshot.width)
        kept_rows = np.concatenate([kept_rows, fetched["_rowid"].to_numpy()])
        embeddings = new_embeddings if embeddings is None else np.concatenate([embeddings, new_embeddings])
    if embeddings is None:
        embeddings = np.empty((0, snapshot.tokens, snapshot.width), dtype=np.float16)
    return _View(
        table=table,
        snapshot=snapshot,
        alive=None if alive.all() else Selection(alive, snapshot.tokens),
        rows=kept_rows,
        version=table.version,
        embeddings=embeddings,
        fields=fields_of(table.schema),
        columns=columns_of(table.schema),
    )


def _row_ids(table: Any, where: Any = None) -> Rows:
    query = table.search().with_row_id(True).select(["_rowid"])
    if where is not None:
        query = query.where(where)
    rows: Rows = query.to_arrow()["_rowid"].to_numpy()
    return rows


def _batches(table: Any) -> Iterator[pa.Table]:
    query = table.search().with_row_id(True).select(["_rowid", CARD, VECTORS])
    for batch in query.to_batches(_BATCH_ROWS):
        yield pa.Table.from_batches([batch])
