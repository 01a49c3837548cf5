"""Validation of settings from recipes and configuration files, with errors that name the key."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from likebut.errors import InputError

Settings = TypeVar("Settings", bound=BaseModel)


# Former name → name: what version 0.1.0 saved, and recipes written for it, still open.
_FORMER_NAMES = {
    "look_alikes": "mined_hard_negatives",
    "image_marks": "image_type_embeddings",
    "writes_by": "default_decoding",
}


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with every key under its current name."""
    return {
        _FORMER_NAMES.get(key, key): current_names(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
    }


def current_key(key: str) -> str:
    """Return a dotted key such as "data.look_alikes" under its current name."""
    return ".".join(_FORMER_NAMES.get(part, part) for part in key.split("."))


def parse_settings(model: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """Return ``values`` as ``model``.

    Args:
        model: A pydantic model that forbids unknown keys.
        values: Content of the file, or options of the command line.
        where: The file, for the message.

    Raises:
        InputError: A key is unknown (the message suggests the closest one) or missing, or a value is invalid.
    """
    try:
        return model.model_validate(current_names(values))
    except ValidationError as error:
        raise _explained(model, error, where) from None


def _explained(model: type[BaseModel], error: ValidationError, where: str) -> InputError:
    # A misspelt key is often reported as a missing key too; the misspelling is more informative.
    found = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    first = found[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = sorted(known_keys(model))
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        remedy = f'Did you mean "{near[0]}"?' if near else f"Known keys: {', '.join(known)}."
        return InputError(f'{where} has the unknown key "{key}".', remedy)
    if first["type"] == "missing":
        return InputError(f'{where} lacks the key "{key}".', f'Add "{key}".')
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if isinstance(first["input"], Mapping):
        # The rule concerns several keys together.
        return InputError(f'{where}: in "{key}", {message}.', "Change one of them.")
    return InputError(f'{where}: "{key}" is {first["input"]!r}, but {message}.', f'Change "{key}".')


def known_keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Return the dotted names of all settings of a model, including nested models."""
    keys = set()
    for name, field in model.model_fields.items():
        keys.add(prefix + name)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys |= known_keys(inner, f"{prefix}{name}.")
    return keys


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return one phrase per leaf in which nested settings differ: "writing.batch_size was 8, now 16"."""
    before, now = dict(_leaves(found)), dict(_leaves(wanted))
    return [
        f"{key} was {before.get(key, 'absent')}, now {now.get(key, 'absent')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key, "absent") != now.get(key, "absent")
    ]


def _leaves(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return the leaves of nested settings as (dotted key, text)."""
    if isinstance(value, Mapping):
        return [
            leaf for key, inner in value.items() for leaf in _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, str(list(value)) if isinstance(value, list | tuple) else str(value))]
