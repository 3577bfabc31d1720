"""The HTTP operations on models, versions and aliases."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Body, Header, Path, Request, Response
from sqlalchemy.orm import Session

from service.infra.cursors import map_page
from service.models import repository, service
from service.models.schemas import (
    FUNCTIONAL_MODEL,
    TUTORIAL_MODEL,
    AliasRead,
    AliasWrite,
    FileRead,
    ModelCreate,
    ModelPage,
    ModelRead,
    ModelReplace,
    VersionPage,
    VersionRead,
)
from service.models.tables import Alias, Model, Version
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.model_script import keras_script
from service.web.parameters import NAME_PATTERN, ModelName, WholeNumber
from service.web.routing import PageOf, ReadSession, WriteSession, headers_of, make_router, problems
from service.workspaces.auth import CurrentWorkspace

router = make_router("models")
VersionNumber = Annotated[
    WholeNumber, Path(ge=1, lt=2**31, description="Number of the version.", examples=[1], json_schema_extra={"example": 1})
]
AliasName = Annotated[
    str,
    Path(
        pattern=NAME_PATTERN,
        description="The alias, e.g. `production`.",
        examples=["production"],
        json_schema_extra={"example": "production"},
    ),
]
# Swagger UI shows these in their own order; pydantic sorts the keys of a schema's examples.
NewModel = Annotated[
    ModelCreate,
    Body(
        openapi_examples={
            "tutorial": {"summary": "Three Dense layers", "value": TUTORIAL_MODEL},
            "functional": {"summary": "Two inputs and two outputs", "value": FUNCTIONAL_MODEL},
        }
    ),
]
NewRevision = Annotated[
    ModelReplace,
    Body(
        openapi_examples={
            "tutorial": {
                "summary": "Three Dense layers",
                "value": {key: value for key, value in TUTORIAL_MODEL.items() if key != "name"},
            }
        }
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=200,
        description="`ETag` of the state that you have read; another state is a 412.",
        examples=['"1-660fbef52d83d"'],
    ),
]


@router.post("/models", status_code=201, responses={**problems(409, 413, 415, 422), **headers_of(201, "Location", "ETag")})
def create_model(
    http: Request, session: WriteSession, workspace_id: CurrentWorkspace, request: NewModel, response: Response
) -> ModelRead:
    """Create a model: layers, optimizer, loss and metrics, in Keras's own words."""
    model = service.create(session, workspace_id, request, http.app.state.settings)
    response.headers["Location"] = f"/api/models/{model.name}"
    return _respond(session, model, response)


@router.get("/models", responses=problems(422))
def list_models(session: ReadSession, workspace_id: CurrentWorkspace, page: PageOf) -> ModelPage:
    """List models, newest first unless `order_by` is `created_at`, `name` or `-name`."""
    models = repository.list_page(session, workspace_id, page)
    return ModelPage(**map_page(models, lambda model: _read(session, model)))


@router.get("/models/{name}", responses={**problems(404), **headers_of(200, "ETag")})
def read_model(session: ReadSession, workspace_id: CurrentWorkspace, name: ModelName, response: Response) -> ModelRead:
    """Read a model's latest revision; its `ETag` serves for `If-Match`."""
    return _respond(session, repository.get(session, workspace_id, name), response)


@router.put("/models/{name}", responses={**problems(404, 412, 413, 415, 422), **headers_of(200, "ETag")})
def replace_model(
    http: Request,
    session: WriteSession,
    workspace_id: CurrentWorkspace,
    name: ModelName,
    request: NewRevision,
    response: Response,
    if_match: IfMatch = None,
) -> ModelRead:
    """Make a new revision of a model; earlier revisions, runs and versions stay as they are."""
    model = service.replace(session, workspace_id, name, request, if_match, http.app.state.settings)
    return _respond(session, model, response)


@router.delete("/models/{name}", status_code=204, responses=problems(404, 409))
def delete_model(session: WriteSession, workspace_id: CurrentWorkspace, name: ModelName) -> None:
    """Delete a model with its versions; its runs stay."""
    service.delete(session, workspace_id, name)


@router.get(
    "/models/{name}/code",
    response_class=Response,
    responses={**problems(404), 200: {"description": "A Python script.", "content": {"text/x-python": {}}}},
)
def read_model_code(session: ReadSession, workspace_id: CurrentWorkspace, name: ModelName) -> Response:
    """Show the Keras script that builds and compiles the same model."""
    model = repository.get(session, workspace_id, name)
    revision = repository.get_revision(session, model)
    definition = Definition.model_validate(revision.definition)
    script = keras_script(model.name, definition, CompileSpec.model_validate(revision.compile), definition.input_shapes)
    return Response(script, media_type="text/x-python")


@router.get("/models/{name}/versions", responses=problems(404, 422))
def list_versions(session: ReadSession, workspace_id: CurrentWorkspace, name: ModelName, page: PageOf) -> VersionPage:
    """List a model's published versions, newest first unless `order_by` is `version`."""
    model = repository.get(session, workspace_id, name)
    aliases = repository.list_aliases(session, model)
    versions = repository.list_versions(session, model, page)
    return VersionPage(**map_page(versions, lambda version: _read_version(model, version, aliases)))


@router.get("/models/{name}/versions/{version}", responses=problems(404))
def read_version(session: ReadSession, workspace_id: CurrentWorkspace, name: ModelName, version: VersionNumber) -> VersionRead:
    """Read a version: metrics, comparison with Keras, inputs, and an example request that works."""
    model = repository.get(session, workspace_id, name)
    found = repository.get_version(session, model, version)
    return _read_version(model, found, repository.list_aliases(session, model))


@router.delete("/models/{name}/versions/{version}", status_code=204, responses=problems(404))
def delete_version(session: WriteSession, workspace_id: CurrentWorkspace, name: ModelName, version: VersionNumber) -> None:
    """Delete a version and the aliases that point to it; its number is not used again."""
    service.delete_version(session, workspace_id, name, version)


@router.put("/models/{name}/aliases/{alias}", responses=problems(404, 413, 415, 422))
def set_alias(
    session: WriteSession, workspace_id: CurrentWorkspace, name: ModelName, alias: AliasName, request: AliasWrite
) -> AliasRead:
    """Point an alias to a version; predictions follow within a second, without a failed or mixed answer."""
    return _read_alias(name, service.set_alias(session, workspace_id, name, alias, request.version))


@router.delete("/models/{name}/aliases/{alias}", status_code=204, responses=problems(404))
def delete_alias(session: WriteSession, workspace_id: CurrentWorkspace, name: ModelName, alias: AliasName) -> None:
    """Delete an alias; its version stays."""
    service.delete_alias(session, workspace_id, name, alias)


def _respond(session: Session, model: Model, response: Response) -> ModelRead:
    response.headers["ETag"] = service.entity_tag(model)
    return _read(session, model)


def _read(session: Session, model: Model) -> ModelRead:
    revision = repository.get_revision(session, model)
    return ModelRead(
        name=model.name,
        description=model.description,
        revision=revision.number,
        definition=revision.definition,
        compile=revision.compile,
        latest_version=repository.latest_version_number(session, model),
        aliases={alias.name: alias.number for alias in repository.list_aliases(session, model)},
        created_at=model.created_at,
        updated_at=model.updated_at,
    )


def _read_version(model: Model, version: Version, aliases: Sequence[Alias]) -> VersionRead:
    fields = {name: getattr(version, name) for name in ("engine", "parity", "metrics", "parameters", "inputs", "outputs")}
    return VersionRead(
        model=model.name,
        version=version.number,
        aliases=[alias.name for alias in aliases if alias.number == version.number],
        run=version.run_id,
        revision=version.revision,
        features=version.plan,
        example=version.example,
        files=[FileRead(name=name, **file) for name, file in sorted(version.files.items())],
        created_at=version.created_at,
        **fields,
    )


def _read_alias(model: str, alias: Alias) -> AliasRead:
    return AliasRead(model=model, alias=alias.name, version=alias.number, updated_at=alias.updated_at)
