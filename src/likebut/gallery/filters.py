"""Typed conditions on metadata, validated against the fields of a gallery before they reach a store."""

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from likebut.errors import InputError
from likebut.gallery.fields import Field, FieldType, Value, typed


class Operator(StrEnum):
    """Comparison operators. An image without a value for a field satisfies no condition on that field."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    IN = "in"
    CONTAINS = "contains"


_ORDERED = (FieldType.NUMBER, FieldType.DATE)
_OPERATORS = {
    FieldType.TEXT: (Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.CONTAINS),
    FieldType.NUMBER: tuple(each for each in Operator if each is not Operator.CONTAINS),
    FieldType.DATE: tuple(each for each in Operator if each is not Operator.CONTAINS),
    FieldType.BOOLEAN: (Operator.EQUAL, Operator.NOT_EQUAL),
    FieldType.LABELS: (Operator.CONTAINS, Operator.IN),
}
COMPARISONS: Mapping[Operator, Callable[[Any, Any], Any]] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}
_EXPRESSION = re.compile(r"(?P<field>[^=!<>~]+?)\s*(?P<operator><=|>=|!=|=|<|>|~)\s*(?P<value>.*)", re.DOTALL)
_MAX_CONDITIONS = 32
_MAX_ALTERNATIVES = 256


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: ``field operator value``.

    Attributes:
        value: A value of the field's type; a tuple of values for ``in``; a single label for ``contains`` on labels.
            ``in`` on labels matches any of them; ``contains`` on text ignores case.
    """

    field: Field
    operator: Operator
    value: Any


def parse_filter(filters: Mapping[str, Any], fields: Sequence[Field]) -> tuple[Condition, ...]:
    """Parse a filter into conditions, all of which must hold.

    Args:
        filters: Field → a value (equals; contains for labels), a list (any of them), or an object of operators, as in
            ``{"price": {"<": 50}, "colour": ["red", "blue"]}``. A list of such objects uses an operator more than
            once: ``{"title": [{"contains": "linen"}, {"contains": "summer"}]}``.
        fields: The fields of the gallery.

    Raises:
        InputError: A field or an operator is unknown, or a value has the wrong type.
    """
    known = {field.name: field for field in fields}
    conditions: list[Condition] = []
    for name, value in filters.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            remedy = f'Did you mean "{near[0]}"?' if near else f"Known fields: {', '.join(sorted(known))}."
            raise InputError(f'The gallery has no field "{name}".', remedy, code="unknown-field")
        field = known[name]
        objects = [value] if isinstance(value, Mapping) else value
        if isinstance(objects, list | tuple) and objects and all(isinstance(each, Mapping) for each in objects):
            conditions += [_condition(field, symbol, each[symbol]) for each in objects for symbol in each]
        elif isinstance(value, list | tuple):
            conditions.append(_condition(field, Operator.IN, list(value)))
        else:
            conditions.append(_condition(field, Operator.EQUAL, value))
    if len(conditions) > _MAX_CONDITIONS:
        raise InputError(
            f"The filter has {len(conditions)} conditions, more than {_MAX_CONDITIONS}.",
            "Use fewer.",
            code="invalid-filter",
        )
    return tuple(conditions)


def parse_expressions(expressions: Sequence[str]) -> dict[str, Any]:
    """Parse command-line expressions into a filter: ``colour=red``, ``price<50``, ``title~linen``.

    ``colour=red|blue`` matches either value; ``~`` is "contains". All expressions must hold, including several on the
    same field.

    Raises:
        InputError: An expression has no operator.
    """
    filters: dict[str, list[dict[str, Any]]] = {}
    for expression in expressions:
        match = _EXPRESSION.fullmatch(expression.strip())
        if match is None:
            raise InputError(
                f'The filter "{expression}" is not of the form field=value.',
                "Write colour=red, price<50 or title~linen.",
                code="invalid-filter",
            )
        symbol, value = match["operator"], match["value"]
        conditions = filters.setdefault(match["field"], [])
        if symbol == "=" and "|" in value:
            conditions.append({Operator.IN.value: value.split("|")})
        else:
            conditions.append({Operator.CONTAINS.value if symbol == "~" else symbol: value})
    return filters


def matches(conditions: Sequence[Condition], values: Mapping[str, Value]) -> bool:
    """Return whether an image with these values satisfies every condition."""
    return all(_holds(condition, values.get(condition.field.name)) for condition in conditions)


def _condition(field: Field, comparison: str, value: Any) -> Condition:
    allowed = _OPERATORS[field.type]
    if field.type is FieldType.LABELS and comparison == Operator.EQUAL:
        comparison = Operator.CONTAINS
    if comparison not in allowed:
        raise InputError(
            f'The {field.type.name.lower()} field "{field.name}" does not support the operator "{comparison}".',
            f"Use one of: {' '.join(allowed)}.",
            code="invalid-filter",
        )
    chosen = Operator(comparison)
    if chosen is Operator.IN:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MAX_ALTERNATIVES:
            raise InputError(
                f'The filter on "{field.name}" needs a list of 1 to {_MAX_ALTERNATIVES} values.',
                'Write ["a", "b"].',
                code="invalid-filter",
            )
        return Condition(field, chosen, tuple(_typed(field, each) for each in value))
    return Condition(field, chosen, _typed(field, value))


def _typed(field: Field, value: Any) -> Any:
    # Labels are compared one at a time, as text.
    type_ = FieldType.TEXT if field.type is FieldType.LABELS else field.type
    try:
        return typed(value, type_)
    except UnicodeEncodeError:
        raise InputError(
            f'The filter on "{field.name}" has the value {value!r}, which is not valid UTF-8.',
            "Change the value.",
            code="not-utf8",
        ) from None
    except ValueError:
        raise InputError(
            f'The filter on "{field.name}" has the value {value!r}, which is not a {type_.name.lower()}.',
            "Change the value.",
            code="invalid-filter",
        ) from None


def _holds(condition: Condition, actual: Any) -> bool:
    expected = condition.value
    if actual is None:
        return False
    if condition.field.type is FieldType.LABELS:
        return not set(actual).isdisjoint(expected if condition.operator is Operator.IN else (expected,))
    match condition.operator:
        case Operator.IN:
            return actual in expected
        case Operator.CONTAINS:
            return bool(expected.lower() in actual.lower())
    return bool(COMPARISONS[condition.operator](actual, expected))
