"""Who is asking: the one place that turns a request into a workspace."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from service.workspaces.tables import DEFAULT_WORKSPACE_ID


def workspace_of(scope: Scope) -> str:
    """The id of the workspace that a request belongs to: without keys, everybody is in ``default``."""
    return DEFAULT_WORKSPACE_ID


def _current_workspace(request: Request) -> str:
    return workspace_of(request.scope)


CurrentWorkspace = Annotated[str, Depends(_current_workspace)]
