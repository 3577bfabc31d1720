"""What a fit says of rows whose order is most likely not meant."""

from typing import Any

import numpy as np
import pytest

from service.features.plan import FeaturePlan, Target
from service.spec.fit import FitSpec
from service.training import hints as hinting
from service.training.examples import About, Examples, Part
from service.training.hints import hints

ROWS = 30
NUMBER: dict[str, Any] = {"encoding": "number"}
THREE: dict[str, Any] = {"encoding": "index", "classes": ["a", "b", "c"]}
ONE_HOT: dict[str, Any] = {"encoding": "one_hot", "classes": ["a", "b", "c"]}


def examples(kind: dict[str, Any], truth: np.ndarray, kept_out: np.ndarray | None = None) -> Examples:
    plan = FeaturePlan(inputs=[], targets=[Target(output="output", columns=["y"], **kind)])
    parts = [None if y is None else Part((np.zeros((len(y), 1)),), (y,)) for y in (truth, kept_out)]
    return Examples(parts[0], parts[1], About(plan=plan, chosen={}, warnings=[], raw=[]))


RISING = np.repeat([0, 1, 2], ROWS // 3)[:, None]


@pytest.mark.parametrize(
    ("kind", "truth", "is_told"),
    [
        (THREE, RISING, True),
        (THREE, RISING[::-1], True),
        (NUMBER, np.linspace(0, 1, ROWS)[:, None], True),
        (ONE_HOT, np.eye(3)[RISING[:, 0]], True),
        (THREE, np.tile([0, 1, 2], ROWS // 3)[:, None], False),
        (NUMBER, np.zeros((ROWS, 1)), False),
        (NUMBER, np.zeros((ROWS, 2)), False),
        (THREE, RISING[::6], False),
    ],
)
def test_sorted_rows_that_are_not_shuffled_are_told_of(kind, truth, is_told, monkeypatch):
    monkeypatch.setattr(hinting, "BLOCK_ROWS", 7)
    told = list(hints(examples(kind, truth), FitSpec(shuffle=False)))
    assert [("sorted by the target 'y'" in hint) for hint in told] == [True] * is_told
    assert list(hints(examples(kind, truth), FitSpec())) == []


def test_classes_that_only_the_rows_to_validate_with_have_are_named():
    sorted_rows = examples(THREE, RISING[:20], RISING[20:])
    (hint,) = hints(sorted_rows, FitSpec(validation_split=0.33))
    assert "classes of 'y' that no training row has: 'c'" in hint
    assert list(hints(sorted_rows, FitSpec(validation_split=0.33, split="random"))) == []
    assert list(hints(examples(THREE, RISING, RISING[:9]), FitSpec(validation_split=0.33))) == []
