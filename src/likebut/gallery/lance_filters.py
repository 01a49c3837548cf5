"""Conditions as LanceDB's typed expressions; no query text is put together from a user's words."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_, or_

from lancedb.expr import Expr, col, lit

from likebut.gallery.fields import BUILT_IN_FIELDS, Field, FieldType
from likebut.gallery.filters import COMPARISONS, Condition, Operator
from likebut.gallery.lance_rows import to_cell


def to_expression(conditions: Sequence[Condition], columns: Mapping[str, str]) -> Expr | None:
    """Return one expression for all conditions, or none if there are none.

    Args:
        conditions: Whose fields are all in ``columns``.
        columns: The column that holds each field.
    """
    expressions = [_expression(condition, _column(condition.field, columns)) for condition in conditions]
    return reduce(and_, expressions) if expressions else None


def _column(field: Field, columns: Mapping[str, str]) -> Expr:
    column = col(columns[field.name])
    # Sizes are stored as integers, which the engine will not compare with the fractions that a filter may hold.
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
