import errno
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from service.spec.compile import MeanSquaredError
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.spec.frames import EpochEnded, Finished, Planned
from service.training import cache as cache_module
from service.training.cache import PARTIAL, EncodedCache
from service.training.examples import Examples, Wanted, encode
from service.training.reading import load
from tests.unit.training.conftest import make_job, store_arrays

PLENTY = 10**9
ROWS = 1000
X = np.arange(ROWS, dtype=np.float32)[:, None]


class Writer:
    """Encodes an array, and counts how often."""

    def __init__(self, folder: Path) -> None:
        self.dataset = load(store_arrays(folder, x=X, y=X * 2))
        self.times = 0

    def __call__(self, folder: Path) -> Examples:
        self.times += 1
        return encode(
            self.dataset, None, Wanted(FeaturesSpec(), "y", ["input"], {"output": MeanSquaredError()}, FitSpec(), 0), folder
        )


@pytest.fixture
def writer(tmp_path) -> Writer:
    return Writer(tmp_path)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "cache"


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


def size_of(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.iterdir())


def is_whole(examples: Examples) -> bool:
    return bool((examples.train.inputs[0] == X).all() and (examples.train.targets[0] == X * 2).all())


def test_the_same_ingredients_are_encoded_once(writer, folder):
    first = EncodedCache(folder, PLENTY).examples({"a": 1, "b": [2]}, writer)
    second = EncodedCache(folder, PLENTY).examples({"b": [2], "a": 1}, writer)
    assert writer.times == 1
    assert is_whole(first)
    assert is_whole(second)
    assert second.about == first.about


def test_other_ingredients_are_encoded(writer, folder):
    for seed in (1, 2, None):
        EncodedCache(folder, PLENTY).examples({"split": [0.2, "random", seed]}, writer)
    assert writer.times == 3


@pytest.mark.parametrize("name", ["about.json", "x.npy", "y.npy"])
@pytest.mark.parametrize("damage", ["cut off", "empty", "gone"])
def test_a_damaged_entry_is_encoded_anew_and_then_kept(writer, folder, name, damage):
    cache = EncodedCache(folder, PLENTY)
    cache.examples({}, writer)
    (entry,) = entries(folder)
    if damage == "gone":
        (entry / name).unlink()
    else:
        os.truncate(entry / name, 0 if damage == "empty" else (entry / name).stat().st_size // 2)
    assert is_whole(cache.examples({}, writer))
    assert is_whole(cache.examples({}, writer))
    assert writer.times == 2
    assert entries(folder) == [entry]


def test_weights_that_have_vanished_from_an_entry_are_not_forgotten(folder, tmp_path):
    dataset = load(store_arrays(tmp_path, x=X, y=X * 2, weight=X[:, 0]))
    wanted = Wanted(FeaturesSpec(), "y", ["input"], {"output": MeanSquaredError()}, FitSpec(sample_weight="weight"), 0)
    cache = EncodedCache(folder, PLENTY)
    cache.examples({}, lambda partial: encode(dataset, None, wanted, partial))
    (entry,) = entries(folder)
    (entry / "sample_weight.npy").unlink()
    examples = cache.examples({}, lambda partial: encode(dataset, None, wanted, partial))
    assert (examples.train.sample_weight == X[:, 0]).all()


def test_room_is_made_by_last_use(writer, folder):
    cache = EncodedCache(folder, PLENTY)
    for number in range(3):
        cache.examples({"number": number}, writer)
        for age, entry in enumerate(sorted(entries(folder), key=lambda entry: -entry.stat().st_mtime)):
            os.utime(entry, (time.time() - 100 * (age + 1),) * 2)
    cache.examples({"number": 0}, writer)  # the oldest is used again
    room = 3 * size_of(entries(folder)[0]) + 10
    EncodedCache(folder, room).examples({"number": 3}, writer)
    assert len(entries(folder)) == 3
    assert writer.times == 4
    for number in (3, 2, 0):
        EncodedCache(folder, room).examples({"number": number}, writer)
    assert writer.times == 4


def test_without_room_nothing_is_kept_and_what_was_encoded_can_still_be_read(writer, folder):
    for _ in range(2):
        assert is_whole(EncodedCache(folder, 0).examples({}, writer))
    assert writer.times == 2
    assert entries(folder) == []


def test_an_entry_can_be_removed_while_somebody_has_it_mapped(writer, folder):
    examples = EncodedCache(folder, PLENTY).examples({"number": 1}, writer)
    EncodedCache(folder, 10).examples({"number": 2}, writer)
    assert entries(folder) == []
    assert is_whole(examples)


def test_entries_of_an_earlier_boot_are_not_used_and_go(writer, folder, monkeypatch, tmp_path):
    boot = tmp_path / "boot_id"
    monkeypatch.setattr(cache_module, "BOOT_ID", boot)
    for name in ("first\n", "second\n"):
        boot.write_text(name)
        EncodedCache(folder, PLENTY).examples({}, writer)
    assert writer.times == 2
    assert [path.name for path in folder.iterdir()] == ["second"]


def test_what_a_killed_trainer_has_left_goes_after_a_day(writer, folder):
    cache = EncodedCache(folder, PLENTY)
    cache.examples({"number": 1}, writer)
    boot = entries(folder)[0].parent
    for name, age in (("young", 0), ("old", 2 * 24 * 3600)):
        left = boot / f"{PARTIAL}{name}"
        left.mkdir()
        (left / "x.npy").write_bytes(b"half")
        os.utime(left, (time.time() - age,) * 2)
    cache.examples({"number": 2}, writer)
    assert [path.name for path in boot.iterdir() if path.name.startswith(PARTIAL)] == [f"{PARTIAL}young"]


def test_two_trainers_may_encode_the_same_at_once(writer, folder, tmp_path):
    other = EncodedCache(folder, PLENTY)

    def interrupted(partial: Path) -> Examples:
        is_whole(other.examples({}, writer))  # the other one is quicker
        return writer(partial)

    assert is_whole(EncodedCache(folder, PLENTY).examples({}, interrupted))
    assert len(entries(folder)) == 1
    assert is_whole(other.examples({}, writer))
    assert writer.times == 2


def encode_often(folder: Path, data: Path, results) -> None:
    data.mkdir()
    writer = Writer(data)
    limit_bytes = 12_500  # of one entry, so that they keep removing each other's
    try:
        results.put(all(is_whole(EncodedCache(folder, limit_bytes).examples({"n": n % 5}, writer)) for n in range(100)))
    except Exception as error:
        results.put(repr(error))


def test_trainers_that_remove_each_others_entries_read_whole_ones(folder, tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=encode_often, args=(folder, tmp_path / str(n), results)) for n in range(3)]
    for process in processes:
        process.start()
    assert [results.get(timeout=50) for _ in processes] == [True] * 3
    for process in processes:
        process.join()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_an_error_leaves_no_half_entry(writer, folder, error):
    def fail(partial: Path) -> Examples:
        writer(partial)
        raise error

    with pytest.raises(type(error)):
        EncodedCache(folder, PLENTY).examples({}, fail)
    assert entries(folder) == []
    assert is_whole(EncodedCache(folder, PLENTY).examples({}, writer))


def test_a_cache_that_somebody_empties_is_filled_again(writer, folder):
    cache = EncodedCache(folder, PLENTY)
    cache.examples({}, writer)
    shutil.rmtree(folder)
    assert is_whole(cache.examples({}, writer))
    assert writer.times == 2


def test_jobs_share_what_is_the_same_in_both(trainer, digits, tmp_path):
    """What decides is the data, the features, the target, the loss, the weights and the split; the seed only where it splits."""
    folder = tmp_path / "cache"

    def entries_after(name: str, fit: dict, seed: int, **fields) -> int:
        fields = {"publish": False, "cache_directory": str(folder), "cache_bytes": PLENTY} | fields
        frame = trainer.run(make_job(tmp_path / name, digits, fit={"epochs": 1, **fit}, seed=seed, **fields))[-1]
        assert isinstance(frame, Finished), frame
        return len(entries(folder))

    last, random = {"validation_split": 0.2}, {"validation_split": 0.2, "split": "random"}
    assert entries_after("first", last, seed=1) == 1
    assert entries_after("other settings", last | {"epochs": 2, "batch_size": 7}, seed=2) == 1
    assert entries_after("at random", random, seed=1) == 2
    assert entries_after("again", random, seed=1) == 2
    assert entries_after("another seed", random, seed=2) == 3
    assert entries_after("weights", last | {"class_weight": "balanced"}, seed=1) == 4
    assert entries_after("features", last, seed=1, features={"columns": {"pixel_9": {"type": "exclude"}}}) == 5
    assert entries_after("no room", last, seed=1, cache_bytes=0) == 5  # what is there is used all the same


def test_a_kept_and_a_fresh_encoding_fit_alike(trainer, digits, tmp_path):
    histories = []
    for name in ("fresh", "kept"):
        fields = {"publish": False, "cache_directory": str(tmp_path / "cache"), "cache_bytes": PLENTY}
        job = make_job(tmp_path / name, digits, fit={"epochs": 2, "validation_split": 0.2, "class_weight": {"1": 2}}, **fields)
        frames = trainer.run(job)
        histories.append([(frame.metrics, frame.epoch) for frame in frames if isinstance(frame, EpochEnded)])
        histories[-1].append(next(frame.features for frame in frames if isinstance(frame, Planned)))
    assert histories[0] == histories[1]
