"""Typed conditions on metadata, checked against the gallery's fields before any store sees them."""

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
    """How a field's value is compared. An image without a value for the field satisfies no condition on it."""

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
    FieldType.TRUTH: (Operator.EQUAL, Operator.NOT_EQUAL),
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
_MAX_CONDITIONS = 32
_MAX_ALTERNATIVES = 256


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: ``field operator value``.

    Attributes:
        value: Of the field's type; a tuple of such for ``in``; one label for ``contains`` on labels.
            ``in`` on labels asks for any of them, ``contains`` on text ignores case.
    """

    field: Field
    operator: Operator
    value: Any


def parse_filter(filters: Mapping[str, Any], fields: Sequence[Field]) -> tuple[Condition, ...]:
    """Return the conditions that ``filters`` states, all of which must hold.

    Args:
        filters: Field → a value (equal; for labels: has it), a list (any of them), or an object of operators, as in
            ``{"price": {"<": 50}, "colour": ["red", "blue"]}``; a list of such objects where one operator is needed
            twice: ``{"title": [{"contains": "linen"}, {"contains": "summer"}]}``.
        fields: What the gallery's images have.

    Raises:
        InputError: A field or an operator is unknown, or a value is of the wrong type.
    """
    known = {field.name: field for field in fields}
    conditions: list[Condition] = []
    for name, wanted in filters.items():
        if name not in known:
            raise _unknown_field(name, known)
        field = known[name]
        objects = [wanted] if isinstance(wanted, Mapping) else wanted
        if isinstance(objects, list | tuple) and objects and all(isinstance(each, Mapping) for each in objects):
            conditions += [_condition(field, symbol, value) for each in objects for symbol, value in each.items()]
        elif isinstance(wanted, list | tuple):
            conditions.append(_condition(field, Operator.IN, list(wanted)))
        else:
            usual = Operator.CONTAINS if field.type is FieldType.LABELS else Operator.EQUAL
            conditions.append(_condition(field, usual, wanted))
    if len(conditions) > _MAX_CONDITIONS:
        raise InputError(f"The filter has {len(conditions)} conditions, more than {_MAX_CONDITIONS}.", "Use fewer.")
    return tuple(conditions)


def _unknown_field(name: str, known: Mapping[str, Field]) -> InputError:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f'Did you mean "{near[0]}"?' if near else f"Known fields: {', '.join(sorted(known))}."
    return InputError(f'The gallery has no field "{name}".', remedy)


def _condition(field: Field, comparison: str, value: Any) -> Condition:
    allowed = _OPERATORS[field.type]
    if field.type is FieldType.LABELS and comparison == Operator.EQUAL:
        comparison = Operator.CONTAINS
    if comparison not in allowed:
        raise InputError(
            f'The {field.type.value} field "{field.name}" cannot be compared with "{comparison}".',
            f"Use one of: {' '.join(allowed)}.",
        )
    chosen = Operator(comparison)
    if chosen is Operator.IN:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MAX_ALTERNATIVES:
            raise InputError(
                f'The filter on "{field.name}" needs a list of 1 to {_MAX_ALTERNATIVES} values.', 'Write ["a", "b"].'
            )
        return Condition(field, chosen, tuple(_typed(field, each) for each in value))
    return Condition(field, chosen, _typed(field, value))


def _typed(field: Field, value: Any) -> Any:
    # One label is compared at a time, and a label is a text.
    type_ = FieldType.TEXT if field.type is FieldType.LABELS else field.type
    try:
        return typed(value, type_)
    except UnicodeEncodeError:
        raise InputError(
            f'The filter on "{field.name}" has the value {value!r}, which is not UTF-8.', "Change the value."
        ) from None
    except ValueError:
        raise InputError(
            f'The filter on "{field.name}" has the value {value!r}, which is not a {type_.value}.',
            "Change the value.",
        ) from None


def matches(conditions: Sequence[Condition], values: Mapping[str, Value]) -> bool:
    """Return whether an image with these values satisfies every condition."""
    return all(_holds(condition, values.get(condition.field.name)) for condition in conditions)


def _holds(condition: Condition, actual: Any) -> bool:
    wanted = condition.value
    if actual is None:
        return False
    if condition.field.type is FieldType.LABELS:
        return not set(actual).isdisjoint(wanted if condition.operator is Operator.IN else (wanted,))
    match condition.operator:
        case Operator.IN:
            return actual in wanted
        case Operator.CONTAINS:
            return bool(wanted.lower() in actual.lower())
    return bool(COMPARISONS[condition.operator](actual, wanted))


_EXPRESSION = re.compile(r"(?P<field>[^=!<>~]+?)\s*(?P<operator><=|>=|!=|=|<|>|~)\s*(?P<value>.*)", re.DOTALL)


def parse_expressions(expressions: Sequence[str]) -> dict[str, Any]:
    """Return the filter that command-line expressions state: ``colour=red``, ``price<50``, ``title~linen``.

    ``colour=red|blue`` asks for either; ``~`` is "contains". All of them must hold, several on one field too.

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
            )
        symbol, value = match["operator"], match["value"]
        stated = filters.setdefault(match["field"], [])
        if symbol == "=" and "|" in value:
            stated.append({Operator.IN.value: value.split("|")})
        else:
            stated.append({Operator.CONTAINS.value if symbol == "~" else symbol: value})
    return filters
