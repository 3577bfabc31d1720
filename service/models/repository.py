"""Questions about models, versions and aliases that the database answers."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from service.infra.cursors import Order, Page, PageRequest, fetch_page
from service.models.errors import AliasNotFound, ModelNotFound, NoVersionYet, RevisionNotFound, VersionNotFound
from service.models.tables import Alias, Model, ModelHold, Revision, Version

MODEL_ORDERS = {
    "created_at": Order((Model.id,)),  # ids are UUIDv7, which sort by creation
    "name": Order((Model.name, Model.id)),
}
VERSION_ORDERS = {"version": Order((Version.number,))}
DEFAULT_ALIAS = "default"


def find(session: Session, workspace_id: str, name: str) -> Model | None:
    """The model of this name, if there is one."""
    return session.scalar(select(Model).where(Model.workspace_id == workspace_id, Model.name == name))


def get(session: Session, workspace_id: str, name: str, lock: bool = False) -> Model:
    """The model of this name, locked against other writers if asked. Raises ModelNotFound."""
    query = select(Model).where(Model.workspace_id == workspace_id, Model.name == name)
    model = session.scalar(query.with_for_update() if lock else query)
    if model is None:
        raise ModelNotFound(name)
    return model


def list_page(session: Session, workspace_id: str, request: PageRequest) -> Page[Model]:
    """One page of a workspace's models, newest first by default."""
    return fetch_page(
        session, select(Model).where(Model.workspace_id == workspace_id), request, MODEL_ORDERS, default="-created_at"
    )


def get_revision(session: Session, model: Model, number: int | None = None) -> Revision:
    """A revision, the latest by default. Raises RevisionNotFound."""
    wanted = model.latest_revision if number is None else number
    revision = session.get(Revision, (model.id, wanted))
    if revision is None:
        raise RevisionNotFound(model.name, wanted)
    return revision


def latest_version_number(session: Session, model: Model) -> int | None:
    """Number of the newest version that has not been deleted."""
    return session.scalar(select(func.max(Version.number)).where(Version.model_id == model.id))


def get_version(session: Session, model: Model, number: int) -> Version:
    """A version. Raises VersionNotFound."""
    version = session.get(Version, (model.id, number))
    if version is None:
        raise VersionNotFound(model.name, number)
    return version


def resolve_version(session: Session, model: Model, selector: int | str | None) -> Version:
    """The version that a number, an alias, or neither (``default``, else the newest) names.

    Raises VersionNotFound, AliasNotFound or NoVersionYet.
    """
    if isinstance(selector, int):
        return get_version(session, model, selector)
    alias = session.get(Alias, (model.id, selector or DEFAULT_ALIAS))
    if alias is not None:
        return get_version(session, model, alias.number)
    if selector is not None:
        raise AliasNotFound(model.name, selector)
    newest = latest_version_number(session, model)
    if newest is None:
        raise NoVersionYet(model.name)
    return get_version(session, model, newest)


def list_versions(session: Session, model: Model, request: PageRequest) -> Page[Version]:
    """One page of a model's versions, newest first by default."""
    query = select(Version).where(Version.model_id == model.id)
    return fetch_page(session, query, request, VERSION_ORDERS, default="-version")


def list_all_versions(session: Session, workspace_id: str) -> list[tuple[str, int, Literal["onnx", "keras"], dict[str, Any]]]:
    """Model, number, engine and parity of every version of a workspace, by model and number."""
    query = (
        select(Model.name, Version.number, Version.engine, Version.parity)
        .join(Version, Version.model_id == Model.id)
        .where(Model.workspace_id == workspace_id)
        .order_by(Model.name, Version.number)
    )
    return [row._tuple() for row in session.execute(query)]


def list_aliases(session: Session, model: Model) -> Sequence[Alias]:
    """All aliases of a model, by name."""
    return session.scalars(select(Alias).where(Alias.model_id == model.id).order_by(Alias.name)).all()


def get_alias(session: Session, model: Model, name: str) -> Alias:
    """An alias. Raises AliasNotFound."""
    alias = session.get(Alias, (model.id, name))
    if alias is None:
        raise AliasNotFound(model.name, name)
    return alias


def hold(session: Session, model: Model, holder: str) -> None:
    """Keep the model from being deleted until ``holder`` releases it."""
    session.add(ModelHold(model_id=model.id, holder=holder))


def release(session: Session, holder: str) -> None:
    """Let go of whatever ``holder`` keeps."""
    session.execute(delete(ModelHold).where(ModelHold.holder == holder))


def list_holders(session: Session, model: Model) -> list[str]:
    """Who keeps the model."""
    return list(session.scalars(select(ModelHold.holder).where(ModelHold.model_id == model.id).limit(5)))


def list_files(session: Session) -> Iterator[str]:
    """SHA-256 of every file of every version."""
    for files in session.scalars(select(Version.files).execution_options(yield_per=1000)):
        yield from (file["sha256"] for file in files.values())
