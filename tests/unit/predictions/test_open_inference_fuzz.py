"""Whatever bytes come over the Open Inference Protocol, they are answered or refused with ``{"error": …}``."""

import asyncio
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.versions import FakeVersions
from tests.unit.predictions.apps import app_of, client_of
from tests.unit.predictions.tensors import (
    DTYPES,
    JSON_BYTES,
    KINDS_ROW,
    PATH,
    assert_is_error,
    packed,
    publish_kinds,
    tensor,
    texts,
)

FUZZ = settings(deadline=None)
"""As many examples as the profile says: few in every run of the tests, many in ``make fuzz``."""

parts = st.binary(max_size=40) | st.lists(st.text(max_size=4), max_size=4).map(lambda values: texts(*values))
sizes = st.none() | st.integers(-1, 48) | st.sampled_from([2**31, 2**64 - 1, True, 8.0, "8"])
shapes = st.lists(st.integers(-1, 4) | st.sampled_from([2**31, 2**63, 2**64 - 1]), max_size=4)
names = st.sampled_from([*KINDS_ROW, "id", "x"])
tensors = st.builds(
    lambda name, shape, datatype, size: tensor(name, shape, datatype, **({} if size is None else {"binary_data_size": size})),
    names,
    shapes,
    st.sampled_from([*DTYPES, "BYTES"]),
    sizes,
)
fitting = st.sampled_from([*DTYPES, "BYTES"]).flatmap(
    lambda datatype: st.tuples(names, st.just(datatype), parts).map(
        lambda chosen: (tensor(chosen[0], [1], chosen[1], binary_data_size=len(chosen[2])), chosen[2])
    )
)


def assert_all_are_answered(requests: list[tuple[bytes, dict[str, str]]]) -> None:
    async def ask() -> list[httpx.Response]:
        versions = FakeVersions()
        publish_kinds(versions)
        versions.publish("arrays")
        async with client_of(app_of(versions)) as client:
            paths = (PATH, "/v2/models/arrays/infer")
            return [await client.post(path, content=body, headers=headers) for path in paths for body, headers in requests]

    for answer in asyncio.run(ask()):
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 400:
            assert_is_error(answer)


@FUZZ
@given(requests=st.lists(st.tuples(st.lists(tensors, max_size=3), parts), min_size=1, max_size=10), cut=st.integers(-3, 3))
def test_any_tensors_with_any_bytes_behind_them_are_answered_or_refused(requests: Any, cut: int) -> None:
    packs = [packed({"inputs": inputs}, part) for inputs, part in requests]
    moved = [(body, headers | {JSON_BYTES: str(max(int(headers[JSON_BYTES]) + cut, 0))}) for body, headers in packs]

    assert_all_are_answered(packs + moved)


@FUZZ
@given(requests=st.lists(st.lists(fitting, min_size=1, max_size=3), min_size=1, max_size=10))
def test_any_bytes_of_the_right_size_are_answered_or_refused(requests: Any) -> None:
    assert_all_are_answered(
        [packed({"inputs": [entry for entry, _ in pairs]}, *(part for _, part in pairs)) for pairs in requests]
    )


lengths = st.none() | st.integers(0, 70) | st.text("0123456789-+ e.", max_size=5).map(str.strip)


@FUZZ
@given(bodies=st.lists(st.binary(max_size=60), min_size=1, max_size=10), length=lengths)
def test_any_body_with_any_header_is_answered_or_refused(bodies: list[bytes], length: int | str | None) -> None:
    assert_all_are_answered([(body, {} if length is None else {JSON_BYTES: str(length)}) for body in bodies])
