"""Questions about workspaces and keys that the database answers."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.infra.cursors import Order, Page, PageRequest, fetch_page
from service.workspaces.errors import KeyNotFound, WorkspaceNotFound
from service.workspaces.quotas import Quotas
from service.workspaces.tables import ApiKey, Workspace

KEY_ORDERS = {"created_at": Order((ApiKey.id,))}  # ids are UUIDv7, which sort by creation


def list_workspaces(session: Session) -> Sequence[Workspace]:
    """Every workspace, by name."""
    return session.scalars(select(Workspace).order_by(Workspace.name)).all()


def get_workspace_named(session: Session, name: str) -> Workspace:
    """The workspace of this name. Raises WorkspaceNotFound."""
    workspace = find_workspace(session, name)
    if workspace is None:
        raise WorkspaceNotFound(name)
    return workspace


def find_workspace(session: Session, name: str) -> Workspace | None:
    """The workspace of this name, if there is one."""
    return session.scalar(select(Workspace).where(Workspace.name == name))


def get_workspace(session: Session, workspace_id: str) -> Workspace:
    """The workspace of a key."""
    return session.get_one(Workspace, workspace_id)


def read_quotas(session: Session, workspace_id: str, defaults: Quotas) -> Quotas:
    """What a workspace may use."""
    return defaults.with_own(session.scalars(select(Workspace.quotas).where(Workspace.id == workspace_id)).one())


def lock_quotas(session: Session, workspace_id: str, defaults: Quotas) -> Quotas:
    """What a workspace may use; until the transaction ends nobody else uses more of it, so that counts hold."""
    query = select(Workspace.quotas).where(Workspace.id == workspace_id)
    return defaults.with_own(session.scalars(query.with_for_update(key_share=True)).one())


def find_key(session: Session, prefix: str) -> ApiKey | None:
    """The key that begins so, if there is one."""
    return session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))


def has_keys(session: Session) -> bool:
    """Whether there has ever been a key, in any workspace."""
    return session.scalar(select(ApiKey.id).limit(1)) is not None


def get_key(session: Session, workspace_id: str, key_id: str) -> ApiKey:
    """A workspace's key. Raises KeyNotFound."""
    key = session.scalar(select(ApiKey).where(ApiKey.id == key_id, ApiKey.workspace_id == workspace_id))
    if key is None:
        raise KeyNotFound(key_id)
    return key


def get_key_anywhere(session: Session, name: str) -> ApiKey:
    """The key with this id or prefix, of whichever workspace. Raises KeyNotFound."""
    key = session.scalar(select(ApiKey).where(or_(ApiKey.id == name, ApiKey.prefix == name)))
    if key is None:
        raise KeyNotFound(name)
    return key


def list_page(session: Session, workspace_id: str, request: PageRequest) -> Page[ApiKey]:
    """One page of a workspace's keys, newest first by default."""
    query = select(ApiKey).where(ApiKey.workspace_id == workspace_id)
    return fetch_page(session, query, request, KEY_ORDERS, default="-created_at")


def list_all(session: Session) -> Sequence[tuple[ApiKey, str]]:
    """Every key with the name of its workspace, by workspace and age."""
    query = select(ApiKey, Workspace.name).join(Workspace).order_by(Workspace.name, ApiKey.id)
    return [row._tuple() for row in session.execute(query)]


def note_use(session: Session, key_id: str, moment: datetime) -> None:
    """Remember when a key was last used."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=moment))
