"""Decides how models, versions and aliases change. Knows no HTTP."""

from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.errors import InvalidInput, Problem
from service.infra.database import now
from service.infra.ids import new_id
from service.models import repository
from service.models.errors import ModelExists, ModelInUse, RevisionMismatch
from service.models.schemas import ModelCreate, ModelReplace
from service.models.tables import Alias, Model, Revision, Version
from service.settings import Settings
from service.spec.frames import Publication
from service.spec.summary import ModelLimits, refuse_impossible


def create(session: Session, workspace_id: str, request: ModelCreate, settings: Settings) -> Model:
    """Make a model with its first revision. Raises ModelExists, or InvalidInput on one that cannot be built."""
    refuse_impossible(request.definition, limits_of(settings))
    model = Model(
        id=new_id("mdl"),
        workspace_id=workspace_id,
        name=request.name,
        description=request.description,
        latest_revision=1,
        next_version=1,
    )
    session.add(model)
    try:
        session.flush()
    except IntegrityError as error:
        raise ModelExists(request.name) from error
    _add_revision(session, model, request)
    return model


def limits_of(settings: Settings) -> ModelLimits:
    """How large models may be here."""
    return ModelLimits(settings.max_layers, settings.max_parameters, settings.max_activation_bytes)


def replace(
    session: Session, workspace_id: str, name: str, request: ModelReplace, if_match: str | None, settings: Settings
) -> Model:
    """Make a new revision, unless nothing differs. Raises ModelNotFound, RevisionMismatch or InvalidInput."""
    refuse_impossible(request.definition, limits_of(settings))
    model = repository.get(session, workspace_id, name, lock=True)
    if request.name not in (None, name):
        problem = Problem("/name", "A model cannot be renamed.", request.name, name, "Create a new model instead.")
        raise InvalidInput("The name differs from the one in the address.", [problem])
    found = entity_tag(model)
    if if_match is not None and found not in [tag.strip() for tag in if_match.split(",")] and if_match.strip() != "*":
        raise RevisionMismatch(name, if_match[:80], found)
    latest = repository.get_revision(session, model)
    is_same = latest.definition == request.definition.as_document() and latest.compile == request.compile.as_document()
    if is_same and model.description == request.description:
        return model
    model.description = request.description
    model.updated_at = now()
    if not is_same:
        model.latest_revision += 1
        _add_revision(session, model, request)
    return model


def _add_revision(session: Session, model: Model, request: ModelCreate | ModelReplace) -> None:
    revision = Revision(
        model_id=model.id,
        number=model.latest_revision,
        definition=request.definition.as_document(),
        compile=request.compile.as_document(),
    )
    session.add(revision)
    session.flush()


def entity_tag(model: Model) -> str:
    """The ``ETag`` of a model: it changes with every change that a client can make."""
    return f'"{model.latest_revision}-{int(model.updated_at.timestamp() * 1_000_000):x}"'


def delete(session: Session, workspace_id: str, name: str) -> None:
    """Forget a model with its versions. Raises ModelNotFound, or ModelInUse while a run needs it."""
    model = repository.get(session, workspace_id, name, lock=True)
    holders = repository.list_holders(session, model)
    if holders:
        raise ModelInUse(name, holders)
    session.delete(model)


def publish(
    session: Session,
    model: Model,
    run_id: str,
    revision: int,
    publication: Publication,
    metrics: dict[str, float],
    files: dict[str, Any],
) -> Version:
    """Make the result of a run a version with the model's next number."""
    document = {name: getattr(publication, name) for name in ("parity", "inputs", "outputs")}
    version = Version(
        model_id=model.id,
        number=model.next_version,
        run_id=run_id,
        revision=revision,
        engine=publication.engine,
        plan=publication.plan,
        example=publication.example,
        parameters=publication.parameters,
        metrics=metrics,
        files=files,
        **msgspec.to_builtins(document),
    )
    model.next_version += 1
    session.add(version)
    session.flush()
    return version


def delete_version(session: Session, workspace_id: str, name: str, number: int) -> None:
    """Forget a version and the aliases that point to it. Raises ModelNotFound or VersionNotFound."""
    model = repository.get(session, workspace_id, name, lock=True)
    session.delete(repository.get_version(session, model, number))


def set_alias(session: Session, workspace_id: str, name: str, alias_name: str, number: int) -> Alias:
    """Point an alias to a version. Raises ModelNotFound, VersionNotFound, or InvalidInput on a name of digits only."""
    if alias_name.isdigit():
        problem = Problem("alias", "An alias of digits only could be taken for a version.", alias_name, "a name with a letter")
        raise InvalidInput("The alias cannot be used.", [problem])
    model = repository.get(session, workspace_id, name, lock=True)
    version = repository.get_version(session, model, number)
    alias = session.get(Alias, (model.id, alias_name))
    if alias is None:
        alias = Alias(model_id=model.id, name=alias_name, number=version.number)
        session.add(alias)
    alias.number = version.number
    alias.updated_at = now()
    session.flush()
    return alias


def delete_alias(session: Session, workspace_id: str, name: str, alias_name: str) -> None:
    """Forget an alias. Raises ModelNotFound or AliasNotFound."""
    model = repository.get(session, workspace_id, name, lock=True)
    session.delete(repository.get_alias(session, model, alias_name))
