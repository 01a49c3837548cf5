"""The index of a Lance table: when there is one, of what kind and size, and how the table is kept tidy."""

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
    with_clear_errors,
)
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

VECTORS = "embeddings"
# Below this many embeddings (1,250 images of 8) an exact search takes no longer than the rest of an answer.
EXACT_TOKENS = 10_000
# Where a filter leaves no more than this many, all of them are compared: an index finds less behind a filter.
EXACT_FILTERED_TOKENS = 40_000
_GROWTH = 2
_MAX_PARTITIONS = 2048
_SAMPLES_PER_PARTITION = 64
# Longer than a search takes: a reader may still be on the version that a writer has just replaced.
_KEEP_VERSIONS = timedelta(minutes=1)
# A clustered index is asked to look this many times further at most for what a filter leaves.
_MAX_WIDENING = 10
_FRAGMENTS = 32
_UNINDEXED_SHARE = 0.05


def partitions(tokens: int) -> int:
    """Return how many clusters an index over ``tokens`` vectors has: about their square root."""
    return max(1, min(math.isqrt(tokens), _MAX_PARTITIONS))


def train_if_due(table: Any, tokens_per_image: int, trained_with: int) -> int:
    """Train the vector index if the table is large enough and has none, or has outgrown it.

    Args:
        table: The images table.
        tokens_per_image: N.
        trained_with: How many images the present index was trained with; 0 if there is none.

    Returns:
        How many images it was trained with now; 0 if it was left as it is.
    """
    images = table.count_rows()
    if index_state(table)[0] == "exact":
        trained_with = 0  # a kill while a gallery is removed leaves the number behind
    if images * tokens_per_image < EXACT_TOKENS or (trained_with and images < _GROWTH * trained_with):
        return 0
    # RaBitQ codes of one bit a dimension, not product quantisation: at 100,000 images it builds in a tenth of the
    # time and, with exact re-scoring, misses less (docs/gallery.md).
    config = IvfRq(
        distance_type="cosine",
        num_partitions=partitions(images * tokens_per_image),
        sample_rate=_SAMPLES_PER_PARTITION,
    )
    table.create_index(VECTORS, config=config, replace=True)
    table.create_index("id", config=BTree(), replace=True)
    return int(images)


def tidy(table: Any) -> None:
    """Merge small files, fold new rows into the indices, drop old versions: if that is cheap, or there is enough to do.

    Merging writes every row of a gallery below a million images anew.
    """
    fragments = table.stats()["fragment_stats"]["num_fragments"]
    _, unindexed = index_state(table)
    if fragments <= 1 or fragments > _FRAGMENTS or unindexed > _UNINDEXED_SHARE * table.count_rows():
        table.optimize(cleanup_older_than=_KEEP_VERSIONS)


def effort_for_filter(effort: SearchEffort, images: int, matching: int, tokens: int) -> tuple[SearchEffort, bool]:
    """Return the effort for a search among ``matching`` of ``images``, and whether to compare with all of those.

    The nearest of a tenth of the images lie in more clusters than the nearest of all of them.
    """
    if matching * tokens <= EXACT_FILTERED_TOKENS:
        return effort, True
    widening = min(images / matching, _MAX_WIDENING)
    probes = math.ceil(effort.probes * widening)
    return replace(effort, probes=probes, candidates=2 * effort.candidates), False


def index_state(table: Any) -> tuple[str, int]:
    """Return the kind of the vector index ("exact" if there is none), and how many rows it lacks."""
    for index in table.list_indices():
        if list(index.columns) == [VECTORS]:
            statistics = table.index_stats(index.name)
            return str(index.index_type), int(statistics.num_unindexed_rows)
    return "exact", 0


@with_clear_errors
class LanceStore:
    """A gallery in a folder or an object store.

    Several processes may read while others write. In a folder, writers take turns through a lock file; in an object
    store LanceDB's own conflict detection decides.

    Args:
        location: A folder, or an object-store URI.
        identity: For a gallery that is not there yet: what its embeddings are made with.

    Raises:
        InputError: There is no gallery, and no identity to make one with. Most methods raise it once another process
            has made the gallery anew with another model.
    """

    def __init__(self, location: str | Path, identity: GalleryIdentity | None = None) -> None:
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
        self._settings, self._files, self._images = tables
        self._opened_as = tables.images.schema.metadata[IDENTITY]
        self._effort: SearchEffort | None = None

    def _schema(self) -> pa.Schema:
        """Return the schema that the images have now, as long as their embeddings are the opened gallery's.

        Raises:
            InputError: Another process made the gallery anew with another model meanwhile.
        """
        schema = self._images.schema
        if (schema.metadata or {}).get(IDENTITY) != self._opened_as:
            raise InputError(f"The gallery {self.location} was rebuilt with another model.", "Open it again.")
        return schema

    @property
    def identity(self) -> GalleryIdentity:
        """What the embeddings were made with."""
        return self._identity

    def fields(self) -> tuple[Field, ...]:
        """Return the user's metadata fields, in the order in which they came."""
        return tuple(field for field, _ in fields_of(self._schema()).values())

    def add_fields(self, fields: Sequence[Field]) -> None:
        """Add metadata fields; those that are there already are left."""
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
        """Replace all but embeddings and thumbnail of images that are there."""
        if images:
            with self._writing:
                table = images_to_table(images, self._schema())
                self._images.merge_insert("id").when_matched_update_all().execute(table)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove images, and return how many there were."""
        wanted = list(ids)
        if not wanted:
            return 0
        with self._writing:
            return int(self._images.delete(col("id").isin(wanted)).num_deleted_rows)

    def get(self, ids: Sequence[str]) -> dict[str, StoredImage]:
        """Return those images that are there."""
        if not ids:
            return {}
        fields = fields_of(self._schema())
        table = self._rows(_image_columns(fields), col("id").isin(list(ids)))
        return {image.id: image for image in images_from_table(table, fields)}

    def embeddings(self, ids: Sequence[str]) -> dict[str, TargetEmbeddings]:
        """Return the target embeddings, (N, E) each, of those images that are there."""
        if not ids:
            return {}
        self._schema()
        table = self._rows(["id", VECTORS], col("id").isin(list(ids)))
        embeddings = embeddings_from_table(table, self._identity.width)
        return dict(zip(table["id"].to_pylist(), embeddings, strict=True))

    def thumbnail(self, image_id: str) -> bytes | None:
        """Return an image's thumbnail as JPEG."""
        found = self._rows(["thumbnail"], col("id") == image_id)["thumbnail"].to_pylist()
        return found[0] if found else None

    def ids(self) -> set[str]:
        """Return the ids of all images."""
        return set(self._rows(["id"])["id"].to_pylist())

    def page(self, limit: int, offset: int = 0, conditions: Sequence[Condition] = ()) -> list[StoredImage]:
        """Return some images that satisfy the conditions, in the order of their arrival, or of their last change."""
        schema = self._schema()
        fields = fields_of(schema)
        where = to_expression(conditions, columns_of(schema))
        return images_from_table(self._rows(_image_columns(fields), where, limit, offset), fields)

    def count(self, conditions: Sequence[Condition] = ()) -> int:
        """Return how many images satisfy the conditions."""
        where = to_expression(conditions, columns_of(self._schema()))
        if where is None:
            return int(self._images.count_rows())
        # The engine writes the text itself, from typed literals; counting takes no expression as such.
        return int(self._images.count_rows(where.to_sql()))

    def _rows(self, columns: list[str], where: Expr | None = None, limit: int | None = None, offset: int = 0) -> Any:
        query = self._images.search().select(columns)
        if where is not None:
            query = query.where(where)
        if limit is not None:
            query = query.limit(limit).offset(offset)
        return query.to_arrow()

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
        if conditions:
            effort, few = effort_for_filter(effort, self.count(), self.count(conditions), self._identity.tokens)
            exact = exact or few
        schema = self._schema()
        fields = fields_of(schema)
        # The index ranks tokens, and an image's tokens lie close together: asking for few images finds too few.
        search = self._images.search(query, vector_column_name=VECTORS).distance_type("cosine")
        # Galleries of earlier versions have no cards.
        read, told = (
            (images_from_cards, [CARD]) if CARD in schema.names else (images_from_table, _image_columns(fields))
        )
        search = search.limit(max(limit, effort.candidates)).select([*told, VECTORS, "_distance"])
        search = search.bypass_vector_index() if exact else search.nprobes(effort.probes).refine_factor(effort.refine)
        where = to_expression(conditions, columns_of(schema))
        if where is not None:
            search = search.where(where, prefilter=True)
        table = search.to_arrow().sort_by("_distance").slice(0, limit)
        # A card may be of a newer version than the schema was, and name a field that was added in between.
        fields = fields_of(self._schema()) if told == [CARD] else fields
        embeddings = embeddings_from_table(table, self._identity.width)
        return [Candidate(*pair) for pair in zip(read(table, fields), embeddings, strict=True)]

    def effort(self) -> SearchEffort:
        """Return the effort that searches take."""
        if self._effort is None:
            kept = self.setting("effort")
            self._effort = SearchEffort(**kept) if kept else SearchEffort.usual(self._identity.tokens)
        return self._effort

    def keep_effort(self, effort: SearchEffort) -> None:
        """Make ``effort`` what searches take from now on, in this process and in those that open the gallery later."""
        self.keep_setting("effort", asdict(effort))
        self._effort = effort

    def setting(self, key: str) -> Any:
        """Return a JSON value that was kept under ``key``; None if there is none."""
        found = self._settings.search().where(col("key") == key).select(["value"]).to_arrow()["value"].to_pylist()
        return json.loads(found[0]) if found else None

    def keep_setting(self, key: str, value: Any) -> None:
        """Keep a JSON value under ``key``."""
        with self._writing:
            row = pa.table({"key": [key], "value": [json.dumps(value)]}, schema=SETTINGS_SCHEMA)
            self._settings.merge_insert("key").when_matched_update_all().when_not_matched_insert_all().execute(row)

    def put_files(self, entries: Sequence[FileEntry]) -> None:
        """Remember files, replacing what was known of the same paths."""
        if entries:
            with self._writing:
                merge = self._files.merge_insert("path").when_matched_update_all().when_not_matched_insert_all()
                merge.execute(files_to_table(entries))

    def remove_files(self, paths: Iterable[str]) -> None:
        """Forget files."""
        if wanted := list(paths):
            with self._writing:
                self._files.delete(col("path").isin(wanted))

    def files(self) -> dict[str, FileEntry]:
        """Return all known files by path."""
        rows = self._files.search().select(FILES_SCHEMA.names).to_arrow().to_pylist()
        return {row["path"]: FileEntry(**row) for row in rows}

    def optimise(self) -> None:
        """Compact the tables, bring the index up to date, and train it anew when the gallery has outgrown it."""
        # Training conflicts with another's merging of files, which would throw minutes of it away.
        with self._optimising:
            with self._writing:
                for table in (self._images, self._files, self._settings):
                    tidy(table)
            # Training takes minutes on a large gallery; it conflicts with no writer, so none has to wait.
            trained = train_if_due(self._images, self._identity.tokens, self.setting("trained_with") or 0)
            if trained:
                self.keep_setting("trained_with", trained)

    def health(self) -> StoreHealth:
        """Return the state of the store."""
        kind, unindexed = index_state(self._images)
        skipped = sum(entry.image_id is None for entry in self.files().values())
        return StoreHealth(
            engine=f"lancedb {version('lancedb')}",
            images=self.count(),
            search=kind,
            unindexed=unindexed,
            disk_bytes=None if self._folder is None else _bytes_below(self._folder),
            skipped=skipped,
        )


def _image_columns(fields: dict[str, tuple[Field, str]]) -> list[str]:
    return [*IMAGE_COLUMNS, *(column for _, column in fields.values())]


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
