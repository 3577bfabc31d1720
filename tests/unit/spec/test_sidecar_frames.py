"""Tensors on the pipe between an API and its sidecar."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.spec import sidecar_frames
from service.spec.frames import read_frame, write_frame
from service.spec.sidecar_frames import (
    Array,
    LoadModel,
    Predict,
    TensorHead,
    heads_of,
    read_tensors,
    request_decoder,
    write_tensors,
)

DTYPES = st.sampled_from(["<f4", ">f4", "<f8", "<f2", "|b1", "|u1", "<i4", ">i8"])
TENSORS = st.lists(DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))), max_size=4)


def sent(tensors: list[Array]) -> io.BytesIO:
    stream = io.BytesIO()
    write_frame(stream, Predict(handle=7, tensors=heads_of(tensors)))
    write_tensors(stream, tensors)
    stream.seek(0)
    return stream


def received(stream: io.BytesIO) -> list[Array]:
    request = read_frame(stream, request_decoder)
    assert isinstance(request, Predict)
    return read_tensors(stream, request.tensors)


@given(TENSORS)
def test_tensors_of_every_kind_and_shape_arrive_as_they_were(tensors: list[Array]) -> None:
    for tensor, arrived in zip(tensors, received(sent(tensors)), strict=True):
        assert arrived.dtype == tensor.dtype.newbyteorder("<")
        np.testing.assert_array_equal(arrived, tensor, strict=False)
        assert arrived.shape == tensor.shape


def test_tensors_that_are_no_block_of_memory_arrive_in_order() -> None:
    tensor = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::-1].T
    (arrived,) = received(sent([tensor]))
    np.testing.assert_array_equal(arrived, tensor)


def test_frames_follow_each_other_without_a_gap() -> None:
    stream = sent([np.float32([1, 2])])
    stream.seek(0, io.SEEK_END)
    write_frame(stream, LoadModel(handle=1, path="/model.keras"))
    stream.seek(0)
    received(stream)
    assert read_frame(stream, request_decoder) == LoadModel(handle=1, path="/model.keras")


def test_a_tensor_that_is_cut_off_is_the_end_of_the_other_side() -> None:
    content = sent([np.zeros(10, np.float32)]).getvalue()
    with pytest.raises(EOFError):
        received(io.BytesIO(content[:-1]))


@pytest.mark.parametrize("tensor", [np.array(["text"]), np.array([object()]), np.array([1j])])
def test_what_are_no_numbers_is_not_sent(tensor: Array) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        heads_of([tensor])


@pytest.mark.parametrize("head", [TensorHead(dtype="|O", shape=[1]), TensorHead(dtype="<f4", shape=[-1])])
def test_a_head_that_makes_no_sense_is_refused(head: TensorHead) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        read_tensors(io.BytesIO(b"\0" * 8), [head])


def test_more_than_the_limit_is_refused_before_any_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecar_frames, "MAX_TENSOR_BYTES", 7)
    with pytest.raises(ValueError, match="over the limit of 7"):
        read_tensors(io.BytesIO(), [TensorHead(dtype="<f4", shape=[1]), TensorHead(dtype="<f4", shape=[1])])
