"""The guard kills real trainers that may not go on, without asking anybody."""

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from service.infra.scratch import Scratch
from service.runs.repository import Claim
from service.worker.lease import Guard, Lease
from service.worker.trainers import Trainer, TrainerGone, TrainerStarter
from tests.acceptance.running import wait_until

CLAIM = Claim("run_1", "wrk_1", 1)


@pytest.fixture
def starter(tmp_path: Path, scratch: Scratch) -> Iterator[TrainerStarter]:
    with closing(TrainerStarter("tests.fakes.light_trainer", 1, scratch, tmp_path / "cache")) as starter:
        yield starter


@pytest.fixture
def trainer(starter: TrainerStarter) -> Iterator[Trainer]:
    trainer = starter.start("trainer")
    assert trainer.receive(30) is not None, "it is ready"
    yield trainer
    trainer.stop()


def is_gone(trainer: Trainer) -> bool:
    try:
        trainer.receive(0.05)
    except TrainerGone as gone:
        return gone.returncode == -9
    return False


def test_a_trainer_over_its_memory_is_killed_and_it_is_known_why(trainer: Trainer) -> None:
    lease = Lease(60)
    guard = Guard(lease, max_memory_bytes=1024 * 1024)
    guard.start()
    try:
        with lease.hold(CLAIM, trainer):
            wait_until(lambda: is_gone(trainer), 10, "the trainer is killed")
    finally:
        guard.stop()
    assert trainer.exceeded_memory_bytes is not None
    assert trainer.exceeded_memory_bytes > 1024 * 1024


def test_a_trainer_that_works_on_nothing_is_left_alone(trainer: Trainer) -> None:
    Guard(Lease(60), max_memory_bytes=1).look()
    assert not is_gone(trainer)


def test_a_trainer_of_a_lost_lease_is_killed_before_the_lease_ends(trainer: Trainer) -> None:
    lease_seconds = 1.0
    lease = Lease(lease_seconds)
    began = time.monotonic()
    lease.renew(asked_at=began)
    guard = Guard(lease, max_memory_bytes=0)
    guard.start()
    try:
        with lease.hold(CLAIM, trainer):
            wait_until(lambda: is_gone(trainer), 10, "the trainer is killed")
    finally:
        guard.stop()
    assert time.monotonic() - began >= 0.9 * lease_seconds
    assert trainer.exceeded_memory_bytes is None


def test_a_trainer_does_not_get_our_settings(starter: TrainerStarter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITSERVE_DATABASE_URL", "postgresql+psycopg://user:secret@host/name")
    other = starter.start("other")
    try:
        with suppress(FileNotFoundError), open(f"/proc/{other.pid}/environ", "rb") as environment:
            assert b"secret" not in environment.read()
    finally:
        other.stop()


def test_each_trainer_has_a_folder_that_is_empty_before_and_after_a_job_and_goes_with_it(starter: TrainerStarter) -> None:
    trainers = [starter.start(f"trainer-{number}") for number in (1, 2)]
    folders = []
    for trainer in trainers:
        for _ in range(2):
            with trainer.job_folder() as folder:
                assert list(folder.iterdir()) == []
                (folder / "file").write_text("x")
        folders.append(folder)
        assert list(folder.iterdir()) == []
    assert len(set(folders)) == 2

    for trainer in trainers:
        trainer.stop()

    assert not any(folder.exists() for folder in folders)
