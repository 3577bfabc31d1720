"""No order of claims, beats, reports, expiries, cancels and ends breaks what a run promises: hypothesis looks for one."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from sqlalchemy import event, select
from sqlalchemy.ext.compiler import compiles

from service.datasets.tables import Dataset, DatasetHold
from service.infra import database as database_module
from service.infra.database import Database, database_now_ms, make_engine
from service.infra.migrations import upgrade
from service.models.tables import ModelHold
from service.runs import attempts, service, workers
from service.runs.attempts import ClaimedRun, Failure, StoredSnapshot
from service.runs.errors import AttemptReplaced, RunIsOver
from service.runs.repository import Claim
from service.runs.states import ALLOWED, TERMINAL
from service.runs.sweeper import sweep
from service.runs.tables import Epoch, Run, RunAttempt, RunEvent
from service.settings import Settings
from service.spec.frames import EpochEnded, Finished, Resumed
from service.workspaces.tables import DEFAULT_WORKSPACE_ID
from tests.factories import new_run

LEASE_SECONDS = 10.0
WORKERS = ("wrk_1", "wrk_2")
"""Few, so that one often takes up again what it has lost."""
FINISHED = Finished(outcome="completed", metrics={}, files=[], publication=None, publish_reason=None)
FAILURES = st.sampled_from(["killed_by_signal", "no_progress", "disk_full", "keras_error", "out_of_memory", "timeout"])


class SilentDoorbell:
    """Nobody hears it."""

    def ring(self) -> None:
        """Do nothing."""


@pytest.fixture(scope="module", autouse=True)
def fake_clock():
    """The database asks for the time as ``fake_now_ms()``, which every connection of the machine below answers."""
    compiles(database_now_ms, "sqlite")(lambda element, compiler, **kwargs: "fake_now_ms()")
    yield
    compiles(database_now_ms, "sqlite")(database_module._sqlite_now)


@pytest.fixture(scope="module", autouse=True)
def template(tmp_path_factory: pytest.TempPathFactory):
    """An empty database with all tables, which every example copies."""
    folder = tmp_path_factory.mktemp("template")
    upgrade(Settings(data_dir=folder))
    RunLives.template = folder / "fitserve.db"


class RunLives(RuleBasedStateMachine):
    """Clients, workers (also those that were replaced and do not know it), sweepers, and the passing of time."""

    template: Path
    runs = Bundle("runs")
    claims = Bundle("claims")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "fitserve.db")
        self.settings = Settings(
            data_dir=self.folder, lease_seconds=LEASE_SECONDS, max_attempts=3, retry_delay_seconds=2, max_running_runs=2
        )
        self.now_ms = 1_800_000_000_000
        engine = make_engine(self.settings)
        event.listen(engine, "connect", lambda c, _: c.create_function("fake_now_ms", 0, lambda: self.now_ms))
        self.database = Database(engine)
        self.seen: dict[str, tuple[str, int, int]] = {}

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.folder)

    @rule(target=runs, priority=st.integers(-1, 1))
    def accept(self, priority: int) -> str:
        with self.database.write() as session:
            run = new_run(session, priority=priority)
            session.flush()
            if session.get(Dataset, "ds_1") is None:
                common = {"rows": 1, "size_bytes": 1, "files": {}, "columns": [], "arrays": [], "name": "d", "kind": "table"}
                session.add(Dataset(id="ds_1", workspace_id=DEFAULT_WORKSPACE_ID, **common))
                session.flush()
            session.add(DatasetHold(dataset_id="ds_1", holder=run.id))
            return run.id

    @rule(target=claims, owner=st.sampled_from(WORKERS))
    def claim(self, owner: str):
        waiting = self._waiting()
        claimed = attempts.claim(self.database, self.settings, owner, ["cpu"])
        if claimed is None:
            assert not waiting or self._count("running") >= 2
            return multiple()
        assert claimed.claim.run_id == waiting[0], "highest priority first, then oldest"
        return claimed

    def _waiting(self) -> list[str]:
        query = select(Run.id).where(Run.state == "queued", Run.not_before <= self.now_ms)
        with self.database.read() as session:
            return list(session.scalars(query.order_by(Run.priority.desc(), Run.id)))

    def _count(self, state: str) -> int:
        with self.database.read() as session:
            return len(session.scalars(select(Run.id).where(Run.state == state)).all())

    def _owns(self, claim: Claim) -> bool:
        with self.database.read() as session:
            run = session.get_one(Run, claim.run_id)
            return (run.state, run.owner, run.attempt) == ("running", claim.owner, claim.attempt)

    def _write(self, claim: Claim, write) -> None:
        """An attempt that owns its run can write; every other one is told so, and changes nothing."""
        if self._owns(claim):
            write()
            return
        before = self._everything()
        with pytest.raises(AttemptReplaced):
            write()
        assert self._everything() == before

    def _everything(self) -> list[object]:
        with self.database.read() as session:
            tables = (Run, RunAttempt, Epoch, RunEvent, DatasetHold)
            return [row for table in tables for row in session.execute(select(table.__table__)).all()]

    @rule(claimed=claims)
    def report_an_epoch(self, claimed: ClaimedRun) -> None:
        with self.database.read() as session:
            number = session.get_one(Run, claimed.claim.run_id).epoch + 1
        seen = [
            EpochEnded(epoch=number, metrics={"loss": 1.0}, seconds=1.0),
            StoredSnapshot(f"{number:064}", 1, epoch=number, step=0),
        ]
        self._write(claimed.claim, lambda: attempts.record(self.database, claimed.claim, seen))

    @rule(claimed=claims)
    def go_on_from_the_snapshot(self, claimed: ClaimedRun) -> None:
        epoch = int(claimed.snapshots[0]) if claimed.snapshots else 0
        resumed = [Resumed(from_epoch=epoch, from_step=0)]
        self._write(claimed.claim, lambda: attempts.record(self.database, claimed.claim, resumed))

    @rule(claimed=claims)
    def finish(self, claimed: ClaimedRun) -> None:
        self._write(claimed.claim, lambda: attempts.complete(self.database, claimed.claim, FINISHED, []))

    @rule(claimed=claims, kind=FAILURES)
    def fail(self, claimed: ClaimedRun, kind) -> None:
        failure = Failure(kind, "It failed.", "Try again.")
        self._write(claimed.claim, lambda: attempts.fail(self.database, claimed.claim, failure, self.settings))

    @rule(claimed=claims)
    def release(self, claimed: ClaimedRun) -> None:
        self._write(claimed.claim, lambda: attempts.release(self.database, claimed.claim))

    @rule(claimed=claims)
    def beat(self, claimed: ClaimedRun) -> None:
        workers.beat(self.database, claimed.claim.owner, [claimed.claim.run_id], LEASE_SECONDS)

    @rule(run_id=runs, keep=st.sampled_from(["none", "last", "best"]))
    def cancel(self, run_id: str, keep) -> None:
        with suppress(RunIsOver), self.database.write() as session:
            service.request_cancel(session, DEFAULT_WORKSPACE_ID, run_id, keep)

    @rule(seconds=st.sampled_from([1.0, LEASE_SECONDS / 2, LEASE_SECONDS + 1]))
    def let_time_pass(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)

    @rule()
    def sweep(self) -> None:
        sweep(self.database, SilentDoorbell(), self.settings)
        with self.database.read() as session:
            overdue = session.scalars(select(Run.id).where(Run.state == "running", Run.lease_until < self.now_ms)).all()
        assert overdue == []

    @invariant()
    def every_run_keeps_its_promises(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.read() as session:
            for run in session.scalars(select(Run)):
                self._check_history(run)
                events = session.scalars(select(RunEvent).where(RunEvent.run_id == run.id).order_by(RunEvent.number)).all()
                assert [event.number for event in events] == list(range(1, run.last_event + 1))
                assert [event.kind for event in events].count("done") == (run.state in TERMINAL)
                self._check_attempts(run)
                assert run.failures <= self.settings.max_attempts
                assert run.state != "cancelled" or run.cancel_requested_at is not None
                assert run.state != "succeeded" or run.cancel_requested_at is None
                held = session.get(DatasetHold, ("ds_1", run.id)) is not None
                assert held == (run.state not in TERMINAL)
            assert session.scalars(select(ModelHold)).all() == []

    def _check_history(self, run: Run) -> None:
        state, attempt, last_event = self.seen.get(run.id, ("queued", 0, 0))
        assert run.attempt >= attempt
        assert run.last_event >= last_event
        if state in TERMINAL:
            assert (run.state, run.attempt, run.last_event) == (state, attempt, last_event), "an end is an end"
        assert run.state == state or any(run.state in reachable for reachable in (ALLOWED[state], ALLOWED["running"]))
        self.seen[run.id] = (run.state, run.attempt, run.last_event)

    def _check_attempts(self, run: Run) -> None:
        assert [attempt.number for attempt in run.attempts] == list(range(1, run.attempt + 1))
        going_on = [attempt.number for attempt in run.attempts if attempt.cause is None]
        assert going_on == ([run.attempt] if run.state == "running" else [])
        completed = [attempt.number for attempt in run.attempts if attempt.cause == "completed"]
        assert completed == ([run.attempt] if run.state == "succeeded" else [])


TestRunLives = RunLives.TestCase
TestRunLives.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
