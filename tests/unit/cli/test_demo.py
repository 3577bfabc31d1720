"""The parts of the demo that need no service."""

from pathlib import Path

import pytest

from service.cli.demo_digits import draw, read_digits
from service.errors import FitserveError


def test_the_held_out_digits_are_the_last_fifth_of_the_file() -> None:
    digits = read_digits(0.2)
    assert len(digits.held_out) == len(digits.truths) == 72
    assert set(digits.truths) == {0, 1}
    assert all(len(picture) == 64 for picture in digits.held_out)


def test_without_the_example_the_demo_says_where_to_run_it(tmp_path: Path) -> None:
    with pytest.raises(FitserveError, match="Run the demo in a checkout"):
        read_digits(0.2, tmp_path / "digits.csv")


@pytest.mark.parametrize(("is_unicode", "expected"), [(True, "▀▄█     "), (False, "'.#     ")])
def test_a_character_shows_two_pixels_above_each_other(is_unicode: bool, expected: str) -> None:
    picture = [16, 0, 16, 0, 0, 0, 0, 0] + [0, 16, 16, 0, 0, 0, 0, 0] + [0] * 48
    assert draw(picture, is_unicode=is_unicode).splitlines() == [expected, *[" " * 8] * 3]
