"""The HTTP operation that tells of usage."""

import anyio.to_thread
from fastapi import Request

from service.usage import repository, service
from service.usage.repository import Use
from service.usage.schemas import UsageRead
from service.web.routing import database_of, make_router, problems
from service.workspaces.auth import CurrentWorkspace
from service.workspaces.quotas import Quotas
from service.workspaces.rates import Rates

router = make_router("usage")


@router.get("/usage", responses=problems())
async def read_usage(http: Request, workspace_id: CurrentWorkspace) -> UsageRead:
    """Read what this workspace uses of each of its quotas: what it keeps, its runs, what it has had trained, its requests."""
    rates: Rates = http.app.state.rates
    use = await anyio.to_thread.run_sync(_read_use, http, workspace_id)
    limit = use.limits.requests_per_minute
    return service.describe(use, await rates.look(workspace_id, limit) if limit else None)


def _read_use(http: Request, workspace_id: str) -> Use:
    with database_of(http).read() as session:
        return repository.read_use(session, workspace_id, Quotas.of(http.app.state.settings))
