"""The HTTP operation that tells of usage."""

from fastapi import Request

from service.usage import repository, service
from service.usage.schemas import UsageRead
from service.web.routing import ReadSession, make_router, problems
from service.workspaces.auth import CurrentWorkspace
from service.workspaces.quotas import Quotas

router = make_router("usage")


@router.get("/usage", responses=problems())
def read_usage(http: Request, session: ReadSession, workspace_id: CurrentWorkspace) -> UsageRead:
    """Read what this workspace uses of each of its quotas: what it keeps, its runs, and what it has had trained within a day."""
    return service.describe(repository.read_use(session, workspace_id, Quotas.of(http.app.state.settings)))
