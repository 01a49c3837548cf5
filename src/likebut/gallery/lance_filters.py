"""Conditions as LanceDB's typed expressions; no query text is put together from a user's words."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_, or_

from lancedb.expr import Expr, col, lit

from likebut.gallery.fields import FieldType
from likebut.gallery.filters import COMPARISONS, Condition, Operator
from likebut.gallery.lance_rows import to_cell


def to_expression(conditions: Sequence[Condition], columns: Mapping[str, str]) -> Expr | None:
    """Return one expression for all conditions, or none if there are none.

    Args:
        conditions: Whose fields are all in ``columns``.
        columns: The column that holds each field.
    """
    expressions = [_expression(condition, col(columns[condition.field.name])) for condition in conditions]
    return reduce(and_, expressions) if expressions else None


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
