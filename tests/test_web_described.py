"""The API against its own description: what fits it is answered as it says, what does not breaks nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from samples import mgf
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from web_material import records, small_app, small_server

from specsearch.web.uploads import read_sent

N_EXAMPLES = 40
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.schemas.BaseSchema]:
    read_sent(mgf(records()[:1]).encode(), "first", 100)  # what reads takes seconds to begin
    with small_server(tmp_path_factory.mktemp("web")) as served:
        yield schemathesis.openapi.from_asgi("/openapi.json", small_app(served))


def each(operation: schemathesis.schemas.APIOperation) -> None:
    """Ask what the description allows of one operation, and what it does not."""

    @given(case=operation.as_strategy() | operation.as_strategy(GenerationMode.NEGATIVE))
    @settings(
        max_examples=N_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, timeout=60)

    ask()


def test_the_description_is_kept(described: schemathesis.schemas.BaseSchema) -> None:
    tried = [found.ok() for found in described.get_all_operations()]
    for operation in tried:
        each(operation)
    assert len(tried) >= 11
