"""Lance tables of a gallery: schemas, conversion of rows, and filter expressions.

Filters read the columns of single fields. A search reads a few rows scattered over the table, where every column costs
about as much as all rows together, so everything that describes an image is also stored as JSON in one column, "card".
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.expr import Expr, col, lit

from likebut.gallery.fields import BUILT_IN_FIELDS, LABEL_SEPARATOR, Field, FieldType, Value
from likebut.gallery.filters import COMPARISONS, Condition, Operator
from likebut.gallery.store import FileEntry, NewImage, StoredImage, TargetEmbeddings

_COLUMN_TYPES = {
    FieldType.TEXT: pa.string(),
    FieldType.NUMBER: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.timestamp("us"),
    # A string rather than a list, because typed filter expressions on lists are not pushed down.
    FieldType.LABELS: pa.string(),
}
_NAME, _TYPE = b"likebut.field", b"likebut.type"
IDENTITY = b"likebut.identity"
CARD = "card"
VECTORS = "embeddings"
IMAGE_COLUMNS = ("id", "path", "file_bytes", "width", "height", "taken", "signature")

FILES_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("image_id", pa.string()),
        ("file_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("reason", pa.string()),
    ]
)
SETTINGS_SCHEMA = pa.schema([("key", pa.string()), ("value", pa.string())])


def images_schema(width: int, identity: str) -> pa.Schema:
    """Return the schema of the images table for embeddings of ``width``; its metadata holds the gallery's identity."""
    columns = [
        ("id", pa.string()),
        ("path", pa.string()),
        ("file_bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("taken", pa.timestamp("us")),
        ("signature", pa.binary()),
        (CARD, pa.string()),
        ("thumbnail", pa.binary()),
        ("embeddings", pa.list_(pa.list_(pa.float16(), width))),
    ]
    return pa.schema(columns).with_metadata({IDENTITY: identity.encode()})


def field_column(field: Field, number: int) -> pa.Field:
    """Return the column of a user's field. It is named by number, so that user input never becomes a column name."""
    metadata = {_NAME: field.name.encode(), _TYPE: field.type.value.encode()}
    return pa.field(f"m{number}", _COLUMN_TYPES[field.type], metadata=metadata)


def fields_of(schema: pa.Schema) -> dict[str, tuple[Field, str]]:
    """Return the user's fields of a table by name, each with the name of its column."""
    fields = {}
    for column in schema:
        if column.metadata and _NAME in column.metadata:
            field = Field(column.metadata[_NAME].decode(), FieldType(column.metadata[_TYPE].decode()))
            fields[field.name] = (field, column.name)
    return fields


def columns_of(schema: pa.Schema) -> dict[str, str]:
    """Return the column of each field, including the built-in ones."""
    own = {name: column for name, (_, column) in fields_of(schema).items()}
    return {field.name: field.name for field in BUILT_IN_FIELDS} | {"bytes": "file_bytes"} | own


def to_cell(value: Value) -> Any:
    """Return a metadata value as stored in its column."""
    if isinstance(value, tuple):
        return LABEL_SEPARATOR + "".join(label + LABEL_SEPARATOR for label in value)
    return value


def _from_cell(cell: Any, type_: FieldType) -> Value:
    if type_ is FieldType.LABELS:
        return tuple(str(cell)[1:-1].split(LABEL_SEPARATOR)) if len(cell) > 1 else ()
    value: Value = cell
    return value


def images_to_table(images: Sequence[StoredImage], schema: pa.Schema) -> pa.Table:
    """Return images as rows without thumbnails and embeddings."""
    columns: dict[str, list[Any]] = {name: [getattr(image, name) for image in images] for name in IMAGE_COLUMNS}
    for name, (_, column) in fields_of(schema).items():
        columns[column] = [to_cell(image.metadata[name]) if name in image.metadata else None for image in images]
    if CARD in schema.names:
        columns[CARD] = [_card_of(image) for image in images]
    return pa.table(columns, schema=pa.schema([schema.field(name) for name in columns]))


def new_images_to_table(images: Sequence[NewImage], schema: pa.Schema) -> pa.Table:
    """Return new images as complete rows."""
    table = images_to_table([new.image for new in images], schema)
    embeddings = np.stack([new.embeddings for new in images]).astype(np.float16)
    count, tokens, width = embeddings.shape
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.reshape(-1)), width)
    offsets = pa.array(np.arange(0, count * tokens + 1, tokens, dtype=np.int32))
    table = table.append_column(schema.field("thumbnail"), pa.array([new.thumbnail for new in images], pa.binary()))
    table = table.append_column(schema.field("embeddings"), pa.ListArray.from_arrays(offsets, vectors))
    return table.select(schema.names)


def images_from_table(table: pa.Table, fields: Mapping[str, tuple[Field, str]]) -> list[StoredImage]:
    """Return the images of rows that have the columns of :data:`IMAGE_COLUMNS` and of ``fields``."""
    images = []
    for row in table.select([*IMAGE_COLUMNS, *(column for _, column in fields.values())]).to_pylist():
        metadata = {
            name: _from_cell(row[column], field.type)
            for name, (field, column) in fields.items()
            if row[column] is not None
        }
        images.append(StoredImage(**{name: row[name] for name in IMAGE_COLUMNS}, metadata=metadata))
    return images


def _card_of(image: StoredImage) -> str:
    """Return the card of an image, as JSON."""
    values = {name: getattr(image, name) for name in IMAGE_COLUMNS}
    values |= {"taken": _iso(image.taken), "signature": image.signature.hex()}
    values["metadata"] = {name: to_cell(_iso(value)) for name, value in image.metadata.items()}
    return json.dumps(values, ensure_ascii=False)


def _iso(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def images_from_cards(cards: Iterable[str], fields: Mapping[str, tuple[Field, str]]) -> list[StoredImage]:
    """Return the images that cards describe."""
    return [_image_of(json.loads(card), fields) for card in cards]


def _image_of(card: dict[str, Any], fields: Mapping[str, tuple[Field, str]]) -> StoredImage:
    taken = None if card["taken"] is None else datetime.fromisoformat(card["taken"])
    metadata = {}
    for name, cell in card["metadata"].items():
        type_ = fields[name][0].type
        metadata[name] = datetime.fromisoformat(cell) if type_ is FieldType.DATE else _from_cell(cell, type_)
    plain = {name: card[name] for name in IMAGE_COLUMNS}
    return StoredImage(**plain | {"taken": taken, "signature": bytes.fromhex(card["signature"])}, metadata=metadata)


def embeddings_from_table(table: pa.Table, width: int) -> TargetEmbeddings:
    """Return the embeddings of rows: (B, N, E)."""
    column = table["embeddings"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    values = column.flatten().flatten().to_numpy(zero_copy_only=False)
    embeddings: TargetEmbeddings = (
        values.reshape(len(column), -1, width) if len(column) else values.reshape(0, 1, width)
    )
    return embeddings


def files_to_table(entries: Sequence[FileEntry]) -> pa.Table:
    """Return file entries as rows."""
    rows = [{name: getattr(entry, name) for name in FILES_SCHEMA.names} for entry in entries]
    return pa.Table.from_pylist(rows, schema=FILES_SCHEMA)


def to_expression(conditions: Sequence[Condition], columns: Mapping[str, str]) -> Expr | None:
    """Return one expression for all conditions, or None if there are none.

    Args:
        conditions: Conditions on fields of ``columns``.
        columns: Field → name of its column.
    """
    expressions = [_expression(condition, _column(condition.field, columns)) for condition in conditions]
    return reduce(and_, expressions) if expressions else None


def _column(field: Field, columns: Mapping[str, str]) -> Expr:
    column = col(columns[field.name])
    # Sizes are stored as integers, which the engine does not compare with floats.
    return column.cast("float64") if field in BUILT_IN_FIELDS and field.type is FieldType.NUMBER else column


def _expression(condition: Condition, column: Expr) -> Expr:
    value = condition.value
    if condition.field.type is FieldType.LABELS:
        labels = value if condition.operator is Operator.IN else (value,)
        return reduce(or_, (column.contains(lit(to_cell((label,)))) for label in labels))
    match condition.operator:
        case Operator.IN:
            return column.isin([lit(each) for each in value])
        case Operator.CONTAINS:
            return column.lower().contains(lit(value.lower()))
    expression: Expr = COMPARISONS[condition.operator](column, lit(value))
    return expression
