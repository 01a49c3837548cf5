"""Assertions on errors by class, code and the values that the message names, so that its wording can change."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from likebut.errors import LikebutError


@contextmanager
def raises(error: type[LikebutError], code: str | None = None, *named: object) -> Iterator[None]:
    """Expect ``error`` with ``code``, if given, whose message names every value of ``named``."""
    with pytest.raises(error) as caught:
        yield
    assert code is None or caught.value.code == code
    for value in named:
        assert str(value) in str(caught.value)
