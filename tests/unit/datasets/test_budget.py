"""How much may come out of a compressed upload."""

from pathlib import Path

import pytest

from service.datasets.parsing.request import EXPANSION_ALLOWANCE_BYTES, ParseRequest
from service.errors import InvalidInput


def test_an_upload_may_hold_so_many_times_its_size(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"x" * 1024**2)
    budget = ParseRequest(path, max_expansion=100).budget()

    budget.take(100 * 1024**2)
    with pytest.raises(InvalidInput):
        budget.take(1)


def test_a_small_upload_may_be_packed_tighter(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"x")
    budget = ParseRequest(path, max_expansion=1).budget()

    budget.take(EXPANSION_ALLOWANCE_BYTES)
    with pytest.raises(InvalidInput):
        budget.take(1)


def test_no_upload_may_hold_more_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"x")

    with pytest.raises(InvalidInput):
        ParseRequest(path, max_unpacked_bytes=1024).budget().take(1025)
