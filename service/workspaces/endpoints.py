"""The HTTP operations on keys."""

from typing import Annotated, Any

from fastapi import Path, Response

from service.infra.cursors import map_page
from service.web.routing import PageOf, ReadSession, WriteSession, headers_of, make_router, problems
from service.workspaces import repository, service
from service.workspaces.auth import CurrentWorkspace
from service.workspaces.schemas import KeyCreate, KeyCreated, KeyPage, KeyRead
from service.workspaces.tables import ApiKey

router = make_router("keys")
KeyId = Annotated[str, Path(max_length=80, description="Id of the key.", examples=["key_01a20b40052676958af2ee9e1501afa3"])]


@router.post("/keys", status_code=201, responses={**problems(413, 415, 422), **headers_of(201, "Location")})
def create_key(session: WriteSession, workspace_id: CurrentWorkspace, request: KeyCreate, response: Response) -> KeyCreated:
    """Make a key for this workspace; its secret is in this answer and is never shown again."""
    made = service.create(session, workspace_id, request)
    response.headers["Location"] = f"/api/keys/{made.row.id}"
    return KeyCreated(**_fields(made.row), key=made.key)


@router.get("/keys", responses=problems(422))
def list_keys(session: ReadSession, workspace_id: CurrentWorkspace, page: PageOf) -> KeyPage:
    """List the keys of this workspace, newest first unless `order_by` is `created_at`."""
    keys = repository.list_page(session, workspace_id, page)
    return KeyPage(**map_page(keys, lambda key: KeyRead(**_fields(key))))


@router.get("/keys/{key_id}", responses=problems(404))
def read_key(session: ReadSession, workspace_id: CurrentWorkspace, key_id: KeyId) -> KeyRead:
    """Read what a key allows, when it was last used, and whether it still works."""
    return KeyRead(**_fields(repository.get_key(session, workspace_id, key_id)))


@router.delete("/keys/{key_id}", status_code=204, responses=problems(404))
def delete_key(session: WriteSession, workspace_id: CurrentWorkspace, key_id: KeyId) -> None:
    """Revoke a key: within a second it opens nothing any more. It stays in the list, with the time."""
    service.revoke(repository.get_key(session, workspace_id, key_id))


def _fields(key: ApiKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in KeyRead.model_fields}
