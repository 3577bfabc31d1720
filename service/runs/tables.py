"""The tables of runs, epochs, events, files and workers."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column, object_session, relationship

from service.infra.database import Base, now
from service.runs.errors import IllegalTransition
from service.runs.states import ALLOWED, STATES, TERMINAL, Cause, Device, Kind, State
from service.spec.frames import Keep, LogLevel, Phase
from service.workspaces.tables import Workspace


def _only(condition: str) -> dict[str, Any]:
    """Arguments of an index that holds only the rows of which the condition is true."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


class Run(Base):
    """One `fit`, with everything needed to repeat it: it outlives its model and dataset.

    Whoever changes a row has locked it first, so that ``transition`` sees the state that it changes.
    """

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in STATES)})", name="state"),
        CheckConstraint("kind IN ('fit', 'evaluate', 'predict')", name="kind"),
        CheckConstraint("(state = 'running') = (owner IS NOT NULL)", name="owner_while_running"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease_while_running"),
        CheckConstraint("state <> 'failed' OR failure IS NOT NULL", name="failure_when_failed"),
        CheckConstraint("state <> 'cancelled' OR cancel_requested_at IS NOT NULL", name="request_when_cancelled"),
        CheckConstraint("(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)", name="end_when_terminal"),
        CheckConstraint("(state = 'queued') = (queued_at IS NOT NULL)", name="wait_when_queued"),
        UniqueConstraint("workspace_id", "idempotency_key"),
        # Every listing walks one of these in its order, however many runs there are.
        Index(None, "workspace_id", "id"),
        Index(None, "workspace_id", "priority", "id"),
        Index(None, "workspace_id", "model", "id"),
        Index(None, "workspace_id", "dataset_id", "id"),
        Index(None, "workspace_id", "state", "id"),
        # These hold only the runs that are queued or running, that count towards a quota, or that have a key.
        Index("ix_runs_queue", column("priority").desc(), "id", **_only("state = 'queued'")),
        Index("ix_runs_leases", "lease_until", **_only("state = 'running'")),
        Index("ix_runs_stored", "workspace_id", "stored_bytes", **_only("stored_bytes > 0")),
        Index("ix_runs_volumes", "workspace_id", "created_at", "counted_epochs", "rows", **_only("counted_epochs > 0")),
        Index("ix_runs_keys", "created_at", **_only("idempotency_key IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey(Workspace.id))
    kind: Mapped[Kind] = mapped_column(String(8), default="fit")
    state: Mapped[State] = mapped_column(String(9), default="queued")
    phase: Mapped[Phase] = mapped_column(String(10), default="waiting")

    model: Mapped[str] = mapped_column(String(63))
    revision: Mapped[int]
    definition: Mapped[dict[str, Any]]
    compile: Mapped[dict[str, Any]]
    dataset_id: Mapped[str] = mapped_column(String(40))
    rows: Mapped[int] = mapped_column(BigInteger, default=0)
    """Of its dataset."""
    dataset_files: Mapped[dict[str, Any]]
    """``{"kind": …, "files": {name: sha256}, "classes": {array: names}}``"""
    sources: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What it reads beside its dataset, as ``runs.sources`` describes it."""
    target: Mapped[Any | None] = mapped_column(JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"))
    """As ``spec.features.TargetSpec`` has it."""
    features: Mapped[dict[str, Any]]
    fit: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    priority: Mapped[int]
    tags: Mapped[list["RunTag"]] = relationship(cascade="all, delete-orphan", passive_deletes=True, order_by="RunTag.tag")
    timeout_seconds: Mapped[float | None]
    device: Mapped[Device] = mapped_column(String(8))
    wants_version: Mapped[bool]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_hash: Mapped[str | None] = mapped_column(String(64))

    attempt: Mapped[int] = mapped_column(default=0)
    """The fencing token: only a claim raises it."""
    failures: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(40))
    lease_until: Mapped[int | None] = mapped_column(BigInteger)
    """Milliseconds since 1970 by the database's clock, as is ``not_before``."""
    not_before: Mapped[int] = mapped_column(BigInteger, default=0)
    queued_at: Mapped[datetime | None]
    """Since when it waits."""
    attempts: Mapped[list["RunAttempt"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="RunAttempt.number"
    )
    snapshots: Mapped[list[Any]] = mapped_column(default=list)
    """From where another attempt can go on, newest first: ``{"sha256", "size_bytes", "epoch", "step"}``."""
    inexact_reason: Mapped[str | None] = mapped_column(Text)
    """Why the result may differ from that of an undisturbed run."""
    cancel_requested_at: Mapped[datetime | None]
    cancel_keep: Mapped[Keep | None] = mapped_column(String(4))

    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    """Of its snapshots, and from its end on of its files."""
    counted_epochs: Mapped[int] = mapped_column(default=0)
    """Epochs that count towards the quota of its workspace: those it asks for, and from its end on those it did."""
    last_event: Mapped[int] = mapped_column(default=0)
    plan: Mapped[dict[str, Any] | None]
    """What the trainer has planned, as the frame ``Planned`` has it."""
    epoch: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    metrics: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]
    version: Mapped[int | None]
    publish_reason: Mapped[str | None] = mapped_column(Text)
    """Why there is no version where one was wanted."""

    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended."""
        return self.state in TERMINAL

    @property
    def spent_seconds(self) -> float:
        """How long the attempts that have ended took together."""
        return sum((attempt.ended_at - attempt.started_at).total_seconds() for attempt in self.attempts if attempt.ended_at)

    def transition(self, state: State) -> None:
        """Go to another state. Raises IllegalTransition."""
        if state not in ALLOWED[self.state]:
            raise IllegalTransition(self.id, self.state, state)
        self.state = state
        if state != "running":
            self.owner = None
            self.lease_until = None
        self.queued_at = now() if state == "queued" else None
        if state in TERMINAL:
            self.finished_at = now()
        self.emit("state", {"state": state, "phase": self.phase, "attempt": self.attempt})

    def begin_attempt(self, owner: str, lease_until: int) -> None:
        """Become a worker's until ``lease_until`` (milliseconds by the database's clock)."""
        self.attempt += 1
        self.owner = owner
        self.lease_until = lease_until
        self.started_at = now()
        self.phase = "waiting"
        _session_of(self).add(RunAttempt(run_id=self.id, number=self.attempt, worker_id=owner))
        self.transition("running")

    def end_attempt(self, cause: Cause, message: str | None = None) -> None:
        """Note why the present attempt is over."""
        attempt = _session_of(self).get_one(RunAttempt, (self.id, self.attempt))
        attempt.ended_at, attempt.cause, attempt.message, attempt.epoch = now(), cause, message, self.epoch

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """Append an event; its number is one more than the last one's, since the row is locked."""
        self.last_event += 1
        _session_of(self).add(RunEvent(run_id=self.id, number=self.last_event, kind=kind, data=data))

    def log(self, level: LogLevel, message: str) -> None:
        """Append a line to the log of the present attempt."""
        self.emit("log", {"level": level, "message": message, "attempt": self.attempt})

    def request_cancel(self, keep: Keep) -> None:
        """Note that the run shall stop; a second request changes nothing."""
        if self.cancel_requested_at is None:
            self.cancel_requested_at = now()
            self.cancel_keep = keep

    def start_phase(self, phase: Phase) -> None:
        """Note what the run is doing now."""
        self.phase = phase
        self.emit("state", {"state": self.state, "phase": phase, "attempt": self.attempt})


def _session_of(run: Run) -> Session:
    session = object_session(run)
    assert session is not None, "a run changes inside a session"
    return session


class SpentVolume(Base):
    """Epochs times rows of a deleted run, which count on for the rest of its day."""

    __tablename__ = "spent_volumes"
    __table_args__ = (Index(None, "workspace_id", "created_at"),)

    run_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey(Workspace.id))
    epoch_rows: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    """When the run was accepted."""


class RunAttempt(Base):
    """One try of a worker to do a run."""

    __tablename__ = "run_attempts"
    __table_args__ = (CheckConstraint("(ended_at IS NULL) = (cause IS NULL)", name="cause_when_ended"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    worker_id: Mapped[str] = mapped_column(String(40))
    started_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
    cause: Mapped[Cause | None] = mapped_column(String(20))
    message: Mapped[str | None] = mapped_column(Text)
    """What happened, where the attempt had no result."""
    from_epoch: Mapped[int] = mapped_column(default=0)
    """Epochs that an earlier attempt had done."""
    epoch: Mapped[int] = mapped_column(default=0)
    """The epoch that it reached."""


class RunTag(Base):
    """A word that a run is found by."""

    __tablename__ = "run_tags"
    __table_args__ = (Index(None, "tag", "run_id"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(64), primary_key=True)


class Epoch(Base):
    """Metrics of one epoch; numbers count from 1."""

    __tablename__ = "epochs"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    metrics: Mapped[dict[str, Any]]
    seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=now)


class RunEvent(Base):
    """Something that happened to a run; numbers count from 1 without a gap."""

    __tablename__ = "run_events"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class RunArtifact(Base):
    """A file that a run has left."""

    __tablename__ = "run_artifacts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(100))


class Worker(Base):
    """A worker process that has shown a sign of life."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    process_id: Mapped[int]
    slots: Mapped[int]
    devices: Mapped[list[Any]]
    versions: Mapped[dict[str, Any]]
    started_at: Mapped[datetime] = mapped_column(default=now)
    last_seen_ms: Mapped[int] = mapped_column(BigInteger)
    """By the database's clock."""
    is_stopped: Mapped[bool] = mapped_column(default=False)
