"""schemathesis sends what the OpenAPI document allows, and what it does not."""

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from helpers.live_server import LiveServer
from helpers.server_samples import filled_gallery
from likebut.server.service import Service
from likebut.server.settings import ServerSettings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
EXAMPLES = int(os.environ.get("LIKEBUT_FUZZ_EXAMPLES", "20"))


OPERATIONS = (
    "search",
    "list_images",
    "get_image",
    "get_thumbnail",
    "get_picture",
    "add_images",
    "delete_image",
    "list_galleries",
    "get_health",
    "get_readiness",
    "get_metrics",
    "begin_session",
    "end_session",
)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    with LiveServer(Service(filled_gallery(), ServerSettings(uploads=tmp_path_factory.mktemp("fuzz")))) as server:
        yield schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def operation(document: schemathesis.BaseSchema, name: str) -> schemathesis.APIOperation:
    return next(
        found.ok() for found in document.get_all_operations() if found.ok().definition.raw["operationId"] == name
    )


def test_every_operation_is_fuzzed(document: schemathesis.BaseSchema) -> None:
    described = {found.ok().definition.raw["operationId"] for found in document.get_all_operations()}
    assert described == set(OPERATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize("name", OPERATIONS)
def test_responses_match_the_schema(
    document: schemathesis.BaseSchema, name: str, mode: schemathesis.GenerationMode
) -> None:
    """No 5xx, and no status, type or body that the document does not tell of."""
    tried = operation(document, name)

    # Requests are short enough to read as they are; making them shorter takes minutes.
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        phases=[Phase.generate],
    )
    @given(case=tried.as_strategy(generation_mode=mode))
    def answers_as_described(case: schemathesis.Case) -> None:
        case.validate_response(case.call(), checks=CHECKS)

    try:
        answers_as_described()
    except Unsatisfiable:
        pytest.skip("nothing about this operation can be wrong")
