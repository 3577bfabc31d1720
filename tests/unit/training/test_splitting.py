from collections import Counter

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInput
from service.spec.fit import FitSpec
from service.training.splitting import split, split_at

CLASSES = np.array(["often"] * 60 + ["seldom"] * 30 + ["rarely"] * 10, dtype=object)
STRATIFIED = FitSpec(validation_split=0.2, split="stratified")
RANDOM = FitSpec(validation_split=0.2, split="random")


@given(rows=st.integers(1, 1000), part=st.floats(0.001, 0.999))
def test_the_last_rows_are_kept_out_as_keras_does(rows, part):
    try:
        (train,), (validation,) = keras.src.trainers.data_adapters.array_slicing.train_validation_split(
            (np.arange(rows),), validation_split=part
        )
    except ValueError:
        with pytest.raises(InvalidInput):
            split_at(rows, part)
        return
    kept_out = split(FitSpec(validation_split=part), None, rows, seed=1)
    assert np.flatnonzero(~kept_out).tolist() == train.tolist()
    assert np.flatnonzero(kept_out).tolist() == validation.tolist()


def test_nothing_is_kept_out_unasked():
    assert not split(FitSpec(split="stratified"), None, 5, seed=1).any()


@pytest.mark.parametrize(("rows", "part", "words"), [(3, 0.9, "for training.*smaller"), (1, 0.2, "for training")])
def test_too_few_rows_for_a_split_are_refused(rows, part, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        split_at(rows, part)
    assert caught.value.problems[0].pointer == "/fit/validation_split"


@pytest.mark.parametrize("fit", [RANDOM, STRATIFIED])
def test_a_split_by_chance_keeps_out_so_many_rows_by_the_seed_alone(fit):
    one, again, other = (split(fit, CLASSES, 100, seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
    assert one.sum() == other.sum() == 20


@pytest.mark.parametrize("fit", [RANDOM, STRATIFIED])
@pytest.mark.parametrize("seed", [0, 2**32, 2**62])
def test_every_seed_that_a_run_may_have_splits(fit, seed):
    assert split(fit, CLASSES, 100, seed).sum() == 20


def test_the_global_random_numbers_neither_matter_nor_move():
    np.random.seed(3)
    before = split(STRATIFIED, CLASSES, 100, seed=1)
    drawn = np.random.random()
    np.random.seed(3)
    assert np.random.random() == drawn
    assert (split(STRATIFIED, CLASSES, 100, seed=1) == before).all()


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_stratified_split_keeps_the_proportions(shuffled):
    classes = np.random.default_rng(0).permutation(CLASSES) if shuffled else CLASSES
    kept_out = split(STRATIFIED, classes, 100, seed=4)
    assert Counter(classes[kept_out].tolist()) == {"often": 12, "seldom": 6, "rarely": 2}
    assert Counter(classes[~kept_out].tolist()) == {"often": 48, "seldom": 24, "rarely": 8}


@pytest.mark.parametrize(
    ("classes", "part", "words"),
    [
        (None, 0.2, "this one holds numbers. Use split 'random'"),
        (np.array(["a"] * 9 + ["once"], dtype=object), 0.2, "class 'once' has a single row.*or use split 'random'"),
        (np.arange(10) // 2, 0.2, "a part of 2 rows does not hold all 5 classes"),
        (np.arange(10) // 2, 0.8, "a part of 1 rows does not hold all 5 classes"),
    ],
)
def test_a_stratified_split_that_cannot_be_is_refused_with_the_mend(classes, part, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        split(FitSpec(validation_split=part, split="stratified"), classes, 10, seed=1)
    assert caught.value.problems[0].pointer == "/fit/split"
    assert caught.value.problems[0].fix
