"""The API against its own description: whatever fits it or does not, no request breaks the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from web_material import small_app, small_server

pytestmark = pytest.mark.slow


CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


def test_no_request_breaks_the_server(tmp_path: Path) -> None:
    with small_server(tmp_path) as served:
        described = schemathesis.openapi.from_asgi("/openapi.json", small_app(served))
        operations = [operation.ok() for operation in described.get_all_operations()]
        for operation in operations:
            _try(operation)
    assert len(operations) >= 10


def _try(operation: Any) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=60,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answered(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    answered()
