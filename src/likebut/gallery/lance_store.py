"""A gallery store in Lance tables, with an approximate index over all embeddings once the gallery is large."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
from lancedb.expr import Expr, col
from lancedb.index import BTree, IvfRq

from likebut.errors import InputError
from likebut.gallery.fields import Field
from likebut.gallery.filters import Condition
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.lance_schema import (
    CARD,
    FILES_SCHEMA,
    IDENTITY,
    IMAGE_COLUMNS,
    SETTINGS_SCHEMA,
    VECTORS,
    columns_of,
    embeddings_from_table,
    field_column,
    fields_of,
    files_to_table,
    images_from_cards,
    images_from_table,
    images_to_table,
    new_images_to_table,
    to_expression,
)
from likebut.gallery.lance_tables import (
    ProcessLock,
    connect,
    create_tables,
    is_uri,
    open_tables,
    recorded_identity,
    require_tables,
    with_translated_errors,
)
from likebut.gallery.resident import ResidentIndex, default_memory, is_available
from likebut.gallery.store import (
    Candidate,
    FileEntry,
    NewImage,
    SearchEffort,
    StoredImage,
    StoreHealth,
    TargetEmbeddings,
    Vector,
)

# With fewer embeddings (1,250 images of 8) exact search takes no longer than the rest of a request.
EXACT_TOKENS = 10_000
# If a filter leaves at most this many embeddings, all are compared: an index has a lower recall behind a filter.
EXACT_FILTERED_TOKENS = 40_000
_GROWTH = 2
_MAX_PARTITIONS = 2048
_SAMPLES_PER_PARTITION = 64
# Longer than a search takes: a reader may still use the version that a writer has just replaced.
_KEEP_VERSIONS = timedelta(minutes=1)
# Maximum factor by which a selective filter raises the number of partitions visited.
_MAX_WIDENING = 10
_MAX_FRAGMENTS = 32
_MAX_UNINDEXED_FRACTION = 0.05


@with_translated_errors
class LanceStore:
    """A :class:`~likebut.gallery.store.GalleryStore` in a folder or an object store.

    Several processes may read while others write. In a folder, a lock file serialises writers; in an object store,
    LanceDB detects conflicts.

    Args:
        location: A folder, or an object-store URI.
        identity: What embeddings are computed with, to create a gallery that does not exist.
        resident_bytes: Largest snapshot for the resident read path (:class:`~likebut.gallery.resident.ResidentIndex`);
            0 disables it, None is ``$LIKEBUT_RESIDENT_MB`` or half of the physical memory. Galleries that exceed it are
            searched in the Lance tables.

    Raises:
        InputError: The gallery does not exist and ``identity`` is None. Most methods raise it after another process
            rebuilt the gallery with another model.
    """

    def __init__(
        self, location: str | Path, identity: GalleryIdentity | None = None, resident_bytes: int | None = None
    ) -> None:
        self.location = str(location)
        self._folder = None if is_uri(location) else Path(location).absolute()
        self._writing = ProcessLock(self._folder and self._folder / ".writer.lock")
        self._optimising = ProcessLock(self._folder and self._folder / ".optimise.lock")
        database = connect(self._folder or self.location, create=identity is not None)
        if identity is not None and open_tables(database, self.location) is None:
            with self._writing:
                create_tables(database, identity)
        tables = require_tables(database, self.location)
        self._identity = recorded_identity(tables, self.location)
        self._database = database
        self._settings, self._files, self._images = tables
        self._opened_as = tables.images.schema.metadata[IDENTITY]
        self._effort: SearchEffort | None = None
        self._resident: ResidentIndex | None = None
        limit = default_memory() if resident_bytes is None else resident_bytes
        if self._folder is not None and limit and is_available() and CARD in tables.images.schema.names:
            self._resident = ResidentIndex(
                self._folder,
                self._open_images,
                self.setting,
                self.set_setting,
                self._identity.tokens,
                self._identity.width,
                limit,
            )

    @property
    def identity(self) -> GalleryIdentity:
        """What the embeddings were computed with."""
        return self._identity

    def fields(self) -> tuple[Field, ...]:
        """Return the user's metadata fields, in the order of their creation."""
        return tuple(field for field, _ in fields_of(self._schema()).values())

    def add_fields(self, fields: Sequence[Field]) -> None:
        """Add metadata fields; existing ones are ignored."""
        with self._writing:
            present = fields_of(self._schema())
            new = [field for field in fields if field.name not in present]
            if new:
                columns = [field_column(field, len(present) + number) for number, field in enumerate(new)]
                self._images.add_columns(pa.schema(columns))

    def put(self, images: Sequence[NewImage]) -> None:
        """Store images, replacing those with the same ids."""
        if not images:
            return
        with self._writing:
            table = new_images_to_table(images, self._schema())
            if self.get([new.image.id for new in images]):
                merge = self._images.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
                merge.execute(table)
            else:
                self._images.add(table)

    def update(self, images: Sequence[StoredImage]) -> None:
        """Replace everything but embeddings and thumbnail of existing images."""
        if images:
            with self._writing:
                table = images_to_table(images, self._schema())
                self._images.merge_insert("id").when_matched_update_all().execute(table)

    def delete(self, ids: Iterable[str]) -> int:
        """Delete images and return how many existed."""
        wanted = list(ids)
        if not wanted:
            return 0
        with self._writing:
            return int(self._images.delete(col("id").isin(wanted)).num_deleted_rows)

    def get(self, ids: Sequence[str]) -> dict[str, StoredImage]:
        """Return the existing images among ``ids``."""
        if not ids:
            return {}
        fields = fields_of(self._schema())
        table = self._rows(_image_columns(fields), col("id").isin(list(ids)))
        return {image.id: image for image in images_from_table(table, fields)}

    def embeddings(self, ids: Sequence[str]) -> dict[str, TargetEmbeddings]:
        """Return the target embeddings, (N, E) each, of the existing images among ``ids``."""
        if not ids:
            return {}
        self._schema()
        table = self._rows(["id", VECTORS], col("id").isin(list(ids)))
        embeddings = embeddings_from_table(table, self._identity.width)
        return dict(zip(table["id"].to_pylist(), embeddings, strict=True))

    def thumbnail(self, image_id: str) -> bytes | None:
        """Return the JPEG thumbnail of an image, if it exists."""
        found = self._rows(["thumbnail"], col("id") == image_id)["thumbnail"].to_pylist()
        return found[0] if found else None

    def ids(self) -> set[str]:
        """Return the ids of all images."""
        return set(self._rows(["id"])["id"].to_pylist())

    def page(self, limit: int, offset: int = 0, conditions: Sequence[Condition] = ()) -> list[StoredImage]:
        """Return a page of the images that satisfy the conditions, in the order of insertion or of last change."""
        schema = self._schema()
        fields = fields_of(schema)
        where = to_expression(conditions, columns_of(schema))
        return images_from_table(self._rows(_image_columns(fields), where, limit, offset), fields)

    def count(self, conditions: Sequence[Condition] = ()) -> int:
        """Return how many images satisfy the conditions."""
        where = to_expression(conditions, columns_of(self._schema()))
        if where is None:
            return int(self._images.count_rows())
        # Counting takes SQL only; the engine generates it from typed literals.
        return int(self._images.count_rows(where.to_sql()))

    def nearest(
        self,
        query: Vector,
        limit: int,
        conditions: Sequence[Condition] = (),
        effort: SearchEffort | None = None,
        exact: bool = False,
    ) -> list[Candidate]:
        """Return at most ``limit`` images near the (E,) query."""
        effort = effort or self.effort()
        view = self._resident.view() if self._resident is not None else None
        if view is not None:
            return view.nearest(query, limit, conditions, effort, exact)
        if conditions:
            effort, few = effort_for_filter(effort, self.count(), self.count(conditions), self._identity.tokens)
            exact = exact or few
        schema = self._schema()
        fields = fields_of(schema)
        # The index ranks tokens, and the tokens of an image are similar, so a small limit finds too few images.
        search = self._images.search(query, vector_column_name=VECTORS).distance_type("cosine")
        has_cards = CARD in schema.names  # galleries of early versions have none
        columns = [CARD] if has_cards else _image_columns(fields)
        search = search.limit(max(limit, effort.candidates)).select([*columns, VECTORS, "_distance"])
        search = search.bypass_vector_index() if exact else search.nprobes(effort.probes).refine_factor(effort.refine)
        where = to_expression(conditions, columns_of(schema))
        if where is not None:
            search = search.where(where, prefilter=True)
        table = search.to_arrow().sort_by("_distance").slice(0, limit)
        if has_cards:
            # A card may be newer than the schema read above, and contain a field that was added in between.
            images = images_from_cards(table[CARD].to_pylist(), fields_of(self._schema()))
        else:
            images = images_from_table(table, fields)
        embeddings = embeddings_from_table(table, self._identity.width)
        return [Candidate(*pair) for pair in zip(images, embeddings, strict=True)]

    def effort(self) -> SearchEffort:
        """Return the search effort."""
        if self._effort is None:
            stored = self.setting("effort")
            self._effort = SearchEffort(**stored) if stored else SearchEffort.default(self._identity.tokens)
        return self._effort

    def set_effort(self, effort: SearchEffort) -> None:
        """Set the search effort, for this process and for those that open the gallery later."""
        self.set_setting("effort", asdict(effort))
        self._effort = effort

    def setting(self, key: str) -> Any:
        """Return the JSON value stored under ``key``; None if there is none."""
        found = self._settings.search().where(col("key") == key).select(["value"]).to_arrow()["value"].to_pylist()
        return json.loads(found[0]) if found else None

    def set_setting(self, key: str, value: Any) -> None:
        """Store a JSON value under ``key``."""
        with self._writing:
            row = pa.table({"key": [key], "value": [json.dumps(value)]}, schema=SETTINGS_SCHEMA)
            self._settings.merge_insert("key").when_matched_update_all().when_not_matched_insert_all().execute(row)

    def put_files(self, entries: Sequence[FileEntry]) -> None:
        """Store file entries, replacing those with the same paths."""
        if entries:
            with self._writing:
                merge = self._files.merge_insert("path").when_matched_update_all().when_not_matched_insert_all()
                merge.execute(files_to_table(entries))

    def remove_files(self, paths: Iterable[str]) -> None:
        """Remove file entries."""
        if wanted := list(paths):
            with self._writing:
                self._files.delete(col("path").isin(wanted))

    def files(self) -> dict[str, FileEntry]:
        """Return all file entries by path."""
        rows = self._files.search().select(FILES_SCHEMA.names).to_arrow().to_pylist()
        return {row["path"]: FileEntry(**row) for row in rows}

    def optimise(self) -> None:
        """Compact the tables and update the index, retraining it if the gallery has doubled."""
        # Compaction by another process would conflict with training and discard minutes of work.
        with self._optimising:
            with self._writing:
                for table in (self._images, self._files, self._settings):
                    compact(table)
            if self._build_resident():
                return
            # Training takes minutes for a large gallery. It does not conflict with writers, so they need not wait.
            trained = train_if_due(self._images, self._identity.tokens, self.setting("trained_with") or 0)
            if trained:
                self.set_setting("trained_with", trained)

    def health(self) -> StoreHealth:
        """Return the state of the store."""
        kind, unindexed = index_state(self._images)
        view = self._resident.view() if self._resident is not None else None
        if view is not None:
            kind, unindexed = view.kind, len(view.rows)
        skipped = sum(entry.image_id is None for entry in self.files().values())
        return StoreHealth(
            engine=f"lancedb {version('lancedb')}",
            images=self.count(),
            search=kind,
            unindexed=unindexed,
            disk_bytes=None if self._folder is None else _bytes_below(self._folder),
            skipped=skipped,
        )

    def _build_resident(self) -> bool:
        """Write the snapshot of the resident read path if it is due; return whether the gallery has one."""
        images = int(self._images.count_rows())
        if self._resident is None or images * self._identity.tokens < EXACT_TOKENS or not self._resident.fits(images):
            return False
        view = self._resident.view(any_age=True)
        if view is None or view.is_due:
            self._resident.build()
            self._images.create_index("id", config=BTree(), replace=True)
        return True

    def _open_images(self) -> Any:
        """Return a handle of the images table of its own, which may be checked out at a version."""
        self._schema()
        return self._database.open_table("images")

    def _schema(self) -> pa.Schema:
        """Return the current schema of the images table.

        Raises:
            InputError: Another process rebuilt the gallery with another model.
        """
        schema = self._images.schema
        if (schema.metadata or {}).get(IDENTITY) != self._opened_as:
            raise InputError(
                f"The gallery {self.location} was rebuilt with another model.", "Open it again.", code="gallery-rebuilt"
            )
        return schema

    def _rows(self, columns: list[str], where: Expr | None = None, limit: int | None = None, offset: int = 0) -> Any:
        query = self._images.search().select(columns)
        if where is not None:
            query = query.where(where)
        if limit is not None:
            query = query.limit(limit).offset(offset)
        return query.to_arrow()


def partitions(tokens: int) -> int:
    """Return the number of partitions of an index over ``tokens`` vectors: about their square root."""
    return max(1, min(math.isqrt(tokens), _MAX_PARTITIONS))


def train_if_due(table: Any, tokens_per_image: int, trained_with: int) -> int:
    """Train the vector index if the table is large enough and has none, or has doubled since the last training.

    Args:
        table: The images table.
        tokens_per_image: N.
        trained_with: Number of images that the existing index was trained with; 0 if there is none.

    Returns:
        The number of images that the index was trained with now; 0 if it was not trained.
    """
    images = table.count_rows()
    if index_state(table)[0] == "exact":
        trained_with = 0  # the setting outlives the index if removing a gallery is killed
    if images * tokens_per_image < EXACT_TOKENS or (trained_with and images < _GROWTH * trained_with):
        return 0
    # RaBitQ codes of one bit per dimension rather than product quantisation: at 100,000 images the index builds in a
    # tenth of the time and, with exact re-scoring, has a higher recall (docs/gallery.md).
    config = IvfRq(
        distance_type="cosine",
        num_partitions=partitions(images * tokens_per_image),
        sample_rate=_SAMPLES_PER_PARTITION,
    )
    table.create_index(VECTORS, config=config, replace=True)
    table.create_index("id", config=BTree(), replace=True)
    return int(images)


def compact(table: Any) -> None:
    """Merge small files, add new rows to the indices and drop old versions, if there is enough to do.

    Merging rewrites every row of a gallery below a million images.
    """
    fragments = table.stats()["fragment_stats"]["num_fragments"]
    _, unindexed = index_state(table)
    if fragments <= 1 or fragments > _MAX_FRAGMENTS or unindexed > _MAX_UNINDEXED_FRACTION * table.count_rows():
        table.optimize(cleanup_older_than=_KEEP_VERSIONS)


def effort_for_filter(effort: SearchEffort, images: int, matching: int, tokens: int) -> tuple[SearchEffort, bool]:
    """Return the effort for a search among ``matching`` of ``images``, and whether that search is exact.

    The nearest of a tenth of the images are spread over more partitions than the nearest of all of them.
    """
    if matching * tokens <= EXACT_FILTERED_TOKENS:
        return effort, True
    widening = min(images / matching, _MAX_WIDENING)
    probes = math.ceil(effort.probes * widening)
    return replace(effort, probes=probes, candidates=2 * effort.candidates), False


def index_state(table: Any) -> tuple[str, int]:
    """Return the type of the vector index ("exact" if there is none), and the number of rows that it lacks."""
    for index in table.list_indices():
        if list(index.columns) == [VECTORS]:
            statistics = table.index_stats(index.name)
            return str(index.index_type), int(statistics.num_unindexed_rows)
    return "exact", 0


def _image_columns(fields: dict[str, tuple[Field, str]]) -> list[str]:
    return [*IMAGE_COLUMNS, *(column for _, column in fields.values())]


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
