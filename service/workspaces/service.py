"""Decides who somebody with a key is, and how keys come and go. Knows no HTTP."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import get_args

from sqlalchemy.orm import Session

from service.errors import InvalidInput, Problem
from service.infra.database import Database, now
from service.infra.ids import new_id
from service.workspaces import repository
from service.workspaces.keys import digest_of, is_same, new_key, prefix_of
from service.workspaces.quotas import Quotas
from service.workspaces.schemas import KeyCreate
from service.workspaces.states import Caller, KeyScope
from service.workspaces.tables import DEFAULT_WORKSPACE_ID, ApiKey, Workspace

USE_AGE = timedelta(minutes=1)
"""How old the time of a key's last use may become: writing each use would cost more than most requests."""
ANYBODY = Caller(DEFAULT_WORKSPACE_ID, frozenset(get_args(KeyScope)))
"""Who asks where no key is needed."""


@dataclass(frozen=True)
class NewKey:
    """A key's row, and the secret that it does not hold."""

    row: ApiKey
    key: str


def create(session: Session, workspace_id: str, request: KeyCreate) -> NewKey:
    """Make a key. Raises InvalidInput on an expiry that is over, or beyond the year 9999."""
    key = new_key()
    row = ApiKey(
        id=new_id("key"),
        workspace_id=workspace_id,
        name=request.name,
        prefix=prefix_of(key.encode()),
        sha256=digest_of(key.encode()).hex(),
        scopes=sorted(set(request.scopes)),
        expires_at=_future(request.expires_at),
    )
    session.add(row)
    session.flush()
    return NewKey(row, key)


def _future(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    with suppress(OverflowError):  # of a time that is beyond the year 9999 in UTC
        if moment.astimezone(UTC) > now():
            return moment.astimezone(UTC)
    problem = Problem(
        "/expires_at",
        "This is no time in the future.",
        moment.isoformat(),
        "a later time with its zone, e.g. 2030-01-31T00:00:00Z",
        "Leave it out for a key that does not expire.",
    )
    raise InvalidInput("The key cannot be made.", [problem])


def revoke(key: ApiKey) -> None:
    """Let a key open nothing any more; every process notices within a second."""
    key.revoked_at = key.revoked_at or now()


def workspace_named(session: Session, name: str) -> Workspace:
    """The workspace of this name, made if there is none."""
    workspace = repository.find_workspace(session, name)
    if workspace is None:
        workspace = Workspace(id=new_id("ws"), name=name)
        session.add(workspace)
        session.flush()
    return workspace


def set_quotas(workspace: Workspace, own: Mapping[str, int], is_reset: bool) -> None:
    """Give a workspace numbers of its own beside those that it has, or in their place; 0 is no limit.

    Requests are counted by them within a second, everything else at once.
    """
    workspace.quotas = dict(own) if is_reset else {**workspace.quotas, **own}


class DatabaseKeySource:
    """The keys of the ``workspaces`` tables."""

    def __init__(self, database: Database, are_required: bool, quotas: Quotas) -> None:
        """``are_required``: whether keys are needed even before the first one exists. ``quotas`` without own numbers."""
        self._database = database
        self._are_required = are_required
        self._quotas = quotas

    def find(self, key: bytes) -> Caller | None:
        """Who has this key, which is empty for no key; None for nobody. Raises Unavailable."""
        with self._database.read() as session:
            caller = self._find_caller(session, key)
            if caller is None:
                return None
            quotas = repository.read_quotas(session, caller.workspace_id, self._quotas)
            return replace(caller, requests_per_minute=quotas.requests_per_minute)

    def _find_caller(self, session: Session, key: bytes) -> Caller | None:
        row = repository.find_key(session, prefix_of(key)) if key else None
        if row is None:
            return None if self._are_required or repository.has_keys(session) else ANYBODY
        moment = now()
        return _caller_of(row, moment) if is_same(key, row.sha256) and row.is_valid(moment) else None

    def note_use(self, key_id: str) -> None:
        """Remember that a key is in use. Raises Unavailable."""
        with self._database.write() as session:
            repository.note_use(session, key_id, now())


def _caller_of(row: ApiKey, moment: datetime) -> Caller:
    is_use_due = row.last_used_at is None or moment - row.last_used_at >= USE_AGE
    return Caller(row.workspace_id, frozenset(row.scopes), row.id, row.expires_at, is_use_due)
