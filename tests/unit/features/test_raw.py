"""What is found in raw names and values."""

import pytest

from service.features.raw import first_repeated


@pytest.mark.parametrize(
    ("names", "repeated"), [([], None), (["a", "b"], None), (["a", "b", "c", "b", "a"], "b"), (["", ""], "")]
)
def test_the_first_name_that_has_come_before_is_found(names: list[str], repeated: str | None) -> None:
    assert first_repeated(names) == repeated


def test_a_name_is_found_twice_among_very_many() -> None:
    assert first_repeated([*(f"c{place}" for place in range(300_000)), "c299999"]) == "c299999"
