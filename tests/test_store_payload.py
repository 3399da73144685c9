"""Payloads packed for an engine come back as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specsearch.errors import StoreDamaged
from specsearch.store.payload import pack_payload, unpack_payload
from specsearch.store.schema import ALL_KEYS, FLOAT_INDEXES, KEYWORD_INDEXES

# Hypothesis builds its table of characters at first use, which takes seconds on a fresh machine.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_VALUES = st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@_PATIENT
@given(st.dictionaries(st.sampled_from(sorted(ALL_KEYS)), _VALUES))
def test_round_trip(payload: dict[str, Any]) -> None:
    assert unpack_payload(pack_payload(payload)) == payload


@_PATIENT
@given(st.dictionaries(st.sampled_from(sorted(ALL_KEYS)), _VALUES))
def test_only_indexed_keys_stand_open(payload: dict[str, Any]) -> None:
    packed = pack_payload(payload)
    text = packed.pop("record")
    assert set(packed) <= {*FLOAT_INDEXES, *KEYWORD_INDEXES}
    assert set(json.loads(text)) == set(payload) - set(packed)


def test_nothing_asked_for_is_nothing() -> None:
    assert unpack_payload(None) == unpack_payload({}) == {}


@pytest.mark.parametrize("spoiled", [{"library": "lab"}, {"record": "{"}, {"record": None}])
def test_a_spoiled_record_is_damage(spoiled: dict[str, Any]) -> None:
    with pytest.raises(StoreDamaged, match="record"):
        unpack_payload(spoiled)
