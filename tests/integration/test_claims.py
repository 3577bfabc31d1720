"""Claims, leases and fencing on real databases: a run is done by one attempt at a time, and none is lost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.infra.database import Database
from service.runs import attempts, repository, workers
from service.runs.attempts import ClaimedRun, Failure, StoredFile, StoredSnapshot
from service.runs.errors import AttemptReplaced
from service.runs.sweeper import sweep
from service.runs.tables import Epoch, Run, RunEvent
from service.runs.workers import WorkerIdentity
from service.settings import Settings
from service.spec.frames import EpochEnded, Finished, PhaseStarted, Resumed
from service.workspaces.tables import Workspace
from tests.factories import new_run, queue_run

LEASE_SECONDS = 60.0
SETTINGS = Settings(lease_seconds=LEASE_SECONDS)
FINISHED = Finished(outcome="completed", metrics={}, files=[], publication=None, publish_reason=None)


class SilentDoorbell:
    """Counts its rings."""

    def __init__(self) -> None:
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1


def claim(database: Database, owner: str = "wrk_1", devices: tuple[str, ...] = ("cpu",)) -> ClaimedRun:
    claimed = attempts.claim(database, SETTINGS, owner, devices)
    assert claimed is not None, "a run waits"
    return claimed


def read(database: Database, run_id: str) -> Run:
    with database.read() as session:
        return session.get_one(Run, run_id)


def expire(database: Database, run_id: str) -> None:
    """Let the run's lease end in the past, as if its worker had long been silent."""
    with database.write() as session:
        session.execute(update(Run).where(Run.id == run_id).values(lease_until=1))


def announce(database: Database, worker_id: str) -> None:
    workers.announce(database, WorkerIdentity(worker_id, "host", 1, 1))


def epoch_ended(number: int) -> EpochEnded:
    return EpochEnded(epoch=number, metrics={"loss": 0.5}, seconds=0.1)


def test_two_workers_never_claim_the_same_run(database: Database) -> None:
    total = 60
    with database.write() as session:
        waiting = {new_run(session).id for _ in range(total)}
    claimed: list[str] = []
    start = threading.Barrier(4)

    def claim_all(owner: str) -> None:
        start.wait()
        while (run := attempts.claim(database, SETTINGS, owner, ["cpu"])) is not None:
            claimed.append(run.claim.run_id)

    threads = [threading.Thread(target=claim_all, args=(f"wrk_{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == total
    assert set(claimed) == waiting


def test_the_highest_priority_goes_first_then_the_oldest(database: Database) -> None:
    old, urgent, young = queue_run(database), queue_run(database, priority=5), queue_run(database)
    assert [claim(database).claim.run_id for _ in range(3)] == [urgent, old, young]


def test_a_run_for_a_gpu_is_left_to_workers_that_have_one(database: Database) -> None:
    run_id = queue_run(database, device="gpu")
    assert attempts.claim(database, SETTINGS, "wrk_1", ["cpu"]) is None
    assert claim(database, devices=("cpu", "gpu")).claim.run_id == run_id


def test_a_run_that_waits_for_its_retry_is_not_claimed(database: Database) -> None:
    queue_run(database, not_before=2**52)
    assert attempts.claim(database, SETTINGS, "wrk_1", ["cpu"]) is None


def test_a_beat_renews_the_leases_of_its_own_worker_only(database: Database) -> None:
    queue_run(database)
    queue_run(database)
    mine, other = claim(database, "wrk_1").claim.run_id, claim(database, "wrk_2").claim.run_id
    expire(database, mine)
    expire(database, other)
    workers.beat(database, "wrk_1", [mine, other], LEASE_SECONDS)
    assert read(database, mine).lease_until > 1
    assert read(database, other).lease_until == 1


def test_the_run_of_a_silent_worker_goes_back_to_the_queue(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    announce(database, "wrk_2")
    claim(database)
    expire(database, run_id)
    doorbell = SilentDoorbell()
    assert sweep(database, doorbell, settings) == 1
    run = read(database, run_id)
    assert (run.state, run.failures, run.owner, run.lease_until) == ("queued", 1, None, None)
    assert doorbell.rings == 1
    assert claim(database, "wrk_2").claim.attempt == 2


def test_a_run_that_loses_worker_after_worker_fails_in_the_end(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    for _ in range(settings.max_attempts):
        claim(database)
        expire(database, run_id)
        sweep(database, SilentDoorbell(), settings)
    run = read(database, run_id)
    assert (run.state, run.failure["type"], run.failures) == ("failed", "lost_worker", settings.max_attempts)


def test_a_silent_worker_s_run_that_was_to_be_cancelled_is_cancelled(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    claim(database)
    with database.write() as session:
        session.get_one(Run, run_id).request_cancel("none")
    expire(database, run_id)
    sweep(database, SilentDoorbell(), settings)
    assert read(database, run_id).state == "cancelled"


def test_a_living_worker_keeps_its_run(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    claim(database)
    assert sweep(database, SilentDoorbell(), settings) == 0
    assert read(database, run_id).state == "running"


def test_two_sweepers_end_an_expired_run_once(database: Database, settings: Settings) -> None:
    run_ids = [queue_run(database) for _ in range(10)]
    for run_id in run_ids:
        claim(database)
        expire(database, run_id)
    ended: list[int] = []
    threads = [threading.Thread(target=lambda: ended.append(sweep(database, SilentDoorbell(), settings))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(ended) == len(run_ids)
    assert {read(database, run_id).failures for run_id in run_ids} == {1}


@contextmanager
def writes_nothing(database: Database, run_id: str) -> Iterator[None]:
    """Assert that the block raises AttemptReplaced and leaves the run, its epochs and events as they were."""
    before = _everything_about(database, run_id)
    with pytest.raises(AttemptReplaced):
        yield
    assert _everything_about(database, run_id) == before


def _everything_about(database: Database, run_id: str) -> tuple[object, ...]:
    with database.read() as session:
        run = session.get_one(Run, run_id)
        columns = tuple(getattr(run, column.key) for column in Run.__table__.columns)
        return columns, _count(session, Epoch, run_id), _count(session, RunEvent, run_id)


def _count(session: Session, table: type[Epoch] | type[RunEvent], run_id: str) -> int | None:
    return session.scalar(select(func.count()).select_from(table).where(table.run_id == run_id))


def test_a_replaced_attempt_writes_nothing(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    replaced = claim(database).claim
    expire(database, run_id)
    sweep(database, SilentDoorbell(), settings)
    claim(database)  # even the same worker is another attempt now
    with writes_nothing(database, run_id):
        attempts.record(database, replaced, [PhaseStarted(phase="fitting"), epoch_ended(1)])
    with writes_nothing(database, run_id):
        attempts.complete(database, replaced, FINISHED, [])
    with writes_nothing(database, run_id):
        attempts.fail(database, replaced, Failure("keras_error", "It broke.", "Mend it."), settings)
    with writes_nothing(database, run_id):
        attempts.release(database, replaced)


def test_a_new_attempt_forgets_the_epochs_that_it_does_again(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    attempts.record(database, claim(database).claim, [epoch_ended(number) for number in (1, 2, 3)])
    expire(database, run_id)
    sweep(database, SilentDoorbell(), settings)
    attempts.record(database, claim(database).claim, [Resumed(from_epoch=1, from_step=5), epoch_ended(2)])
    run = read(database, run_id)
    assert (run.epoch, run.step) == (2, 0)
    with database.read() as session:
        assert [epoch.number for epoch in repository.list_epochs(session, run_id)] == [1, 2]
        events = repository.list_events_after(session, run_id, 0)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    resumed = [event.data for event in events if event.kind == "resumed"]
    assert resumed == [{"attempt": 2, "from_epoch": 1, "from_step": 5}]


def test_a_report_that_is_repeated_because_its_answer_got_lost_counts_once(database: Database) -> None:
    run_id = queue_run(database)
    mine = claim(database).claim
    for _ in range(2):
        attempts.record(database, mine, [epoch_ended(1), epoch_ended(2)])
    with database.read() as session:
        assert [epoch.number for epoch in repository.list_epochs(session, run_id)] == [1, 2]
        events = [event.kind for event in repository.list_events_after(session, run_id, 0)]
    assert events.count("epoch") == 2


def test_the_last_two_snapshots_are_kept_until_the_run_ends(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    first = claim(database).claim
    snapshots = [StoredSnapshot(letter * 64, 10, epoch=number, step=0) for number, letter in enumerate("abc", start=1)]
    assert attempts.record(database, first, snapshots[:2]) == []
    assert attempts.record(database, first, snapshots[2:]) == ["a" * 64]
    attempts.release(database, first)
    second = claim(database)
    assert second.snapshots == ["c" * 64, "b" * 64]
    outcome = attempts.complete(database, second.claim, FINISHED, [])
    assert outcome.snapshots == ["c" * 64, "b" * 64]
    assert read(database, run_id).snapshots == []


def test_a_snapshot_that_is_a_file_of_the_result_as_well_stays(database: Database) -> None:
    """One that was taken at the very end has the bytes of the final state, and so its address."""
    queue_run(database)
    mine = claim(database).claim
    attempts.record(database, mine, [StoredSnapshot(letter * 64, 10, epoch=3, step=0) for letter in "ab"])
    outcome = attempts.complete(database, mine, FINISHED, [StoredFile("state.npz", "b" * 64, 10, "application/zip")])
    assert outcome.snapshots == ["a" * 64]


def test_every_attempt_leaves_its_cause(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    claim(database)
    expire(database, run_id)
    sweep(database, SilentDoorbell(), settings)
    attempts.release(database, claim(database, "wrk_2").claim)
    third = claim(database, "wrk_3").claim
    attempts.record(database, third, [epoch_ended(1)])
    attempts.complete(database, third, FINISHED, [])
    with database.read() as session:
        run = session.get_one(Run, run_id)
        found = [(attempt.number, attempt.worker_id, attempt.cause, attempt.epoch) for attempt in run.attempts]
        assert all(attempt.ended_at is not None for attempt in run.attempts)
    assert found == [(1, "wrk_1", "lost_worker", 0), (2, "wrk_2", "worker_shutdown", 0), (3, "wrk_3", "completed", 1)]


def test_a_run_that_fails_for_good_names_its_earlier_attempts(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    attempts.fail(database, claim(database).claim, Failure("killed_by_signal", "Killed.", "Wait."), settings)
    attempts.fail(database, claim(database).claim, Failure("no_progress", "Silence.", "Wait."), settings)
    failure = read(database, run_id).failure
    assert failure == {"type": "no_progress", "message": "Silence. Earlier attempts: 1 (killed_by_signal).", "hint": "Wait."}


def test_a_claim_that_nobody_works_on_runs_out(database: Database, settings: Settings) -> None:
    run_id = queue_run(database)
    claim(database)
    expire(database, run_id)
    workers.beat(database, "wrk_1", [], LEASE_SECONDS)
    assert sweep(database, SilentDoorbell(), settings) == 1


def test_a_full_workspace_is_passed_over(database: Database) -> None:
    limited = Settings(lease_seconds=LEASE_SECONDS, max_running_runs=1)
    with database.write() as session:
        session.add(Workspace(id="ws_other", name="other"))
        session.flush()
        best, other = new_run(session, priority=5).id, new_run(session, workspace_id="ws_other").id
        new_run(session, priority=4)
    claimed = [attempts.claim(database, limited, "wrk_1", ["cpu"]) for _ in range(3)]
    assert [run.claim.run_id if run else None for run in claimed] == [best, other, None]


def test_two_workers_never_exceed_the_limit_of_a_workspace(database: Database) -> None:
    limited = Settings(lease_seconds=LEASE_SECONDS, max_running_runs=3)
    with database.write() as session:
        for _ in range(20):
            new_run(session)
    claimed: list[ClaimedRun | None] = []
    start = threading.Barrier(4)

    def claim_some(owner: str) -> None:
        start.wait()
        claimed.extend(attempts.claim(database, limited, owner, ["cpu"]) for _ in range(3))

    threads = [threading.Thread(target=claim_some, args=(f"wrk_{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([run for run in claimed if run is not None]) == 3


def test_a_run_of_a_stopping_worker_goes_back_without_a_failure(database: Database) -> None:
    run_id = queue_run(database)
    attempts.release(database, claim(database).claim)
    run = read(database, run_id)
    assert (run.state, run.failures) == ("queued", 0)
