"""Paths of the repository, its fixtures, and the data of optional tests."""

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
REPOSITORY = TESTS.parent
PACKAGE = REPOSITORY / "src" / "likebut"
FIXTURES = TESTS / "fixtures"
_SHARED = REPOSITORY.parent / "shared"
BENCHMARKS = Path(os.environ.get("LIKEBUT_BENCHMARKS", _SHARED / "benchmarks"))
"""Official annotation files: ``cirr``, ``fashioniq``, ``circo``."""
CLOTHING = Path(os.environ.get("LIKEBUT_CLOTHING", _SHARED / "photos" / "clothing"))
"""The photographs of clothing."""
