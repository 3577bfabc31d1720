"""Who is asking: the one place that turns a request into a workspace."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import FitserveError, Forbidden, Unauthenticated
from service.web.problems import problem_answer_to
from service.workspaces.authenticator import Authenticator
from service.workspaces.errors import OperatorsOnly
from service.workspaces.rates import Rates
from service.workspaces.states import Caller, KeyScope
from service.workspaces.tables import DEFAULT_WORKSPACE_ID

BEARER = b"bearer "
KEYS_PATH = "/api/keys"
OPERATORS_PATH = "/metrics"
SECURITY_SCHEMES: dict[str, Any] = {
    "Bearer": {"type": "http", "scheme": "bearer", "description": "An API key, as `Authorization: Bearer fs_…`."},
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key, as `X-API-Key: fs_…`."},
}
"""How the OpenAPI page may send a key: either of them."""


def key_in(scope: Scope) -> bytes:
    """The key that a request carries; empty where it carries none. ``Authorization: Bearer`` goes before ``X-API-Key``."""
    key = b""
    for name, value in scope["headers"]:
        if name == b"authorization" and value[: len(BEARER)].lower() == BEARER:
            return bytes(value[len(BEARER) :].strip())
        if name == b"x-api-key":
            key = bytes(value.strip())
    return key


def needed_scope(method: str, path: str) -> KeyScope | None:
    """What a key must allow for an operation of the control plane; None where everybody may ask."""
    if path in (OPERATORS_PATH, KEYS_PATH) or path.startswith(f"{KEYS_PATH}/"):
        return "admin"
    if not path.startswith("/api/"):
        return None
    return "read" if method in ("GET", "HEAD") else "train"


class Gate:
    """Lets requests in that come with a key for what they want, as many as their workspace may send."""

    def __init__(self, authenticator: Authenticator, rates: Rates) -> None:
        self._authenticator = authenticator
        self._rates = rates

    def recall(self, scope: Scope, wanted: KeyScope) -> Caller | None:
        """Who asks, where that is known without waiting. Raises MissingScope or QuotaExceeded."""
        caller = self._authenticator.recall(key_in(scope))
        if caller is None:
            return None
        caller.require(wanted)
        if caller.requests_per_minute:
            if self._rates.is_shared:
                return None
            if _is_to_be_counted(scope):
                self._rates.count_here(caller.workspace_id, caller.requests_per_minute)
        return caller

    async def admit(self, scope: Scope, wanted: KeyScope) -> Caller:
        """Who asks. Raises NotIdentified, MissingScope, QuotaExceeded or Unavailable."""
        caller = await self.identify(scope, wanted)
        if caller.requests_per_minute and _is_to_be_counted(scope):
            await self._rates.count(caller.workspace_id, caller.requests_per_minute)
        return caller

    async def identify(self, scope: Scope, wanted: KeyScope) -> Caller:
        """Who asks, without counting the request. Raises NotIdentified, MissingScope or Unavailable."""
        caller = await self._authenticator.identify(key_in(scope))
        caller.require(wanted)
        return caller

    async def is_still_admitted(self, scope: Scope, wanted: KeyScope) -> bool:
        """Whether a request that was let in would be let in now. Raises Unavailable."""
        try:
            await self.identify(scope, wanted)
        except (Unauthenticated, Forbidden):
            return False
        return True


def _is_to_be_counted(scope: Scope) -> bool:
    """True once for each request, which comes twice where it could not be answered at once."""
    state = scope.setdefault("state", {})
    is_first = "is_counted" not in state
    state["is_counted"] = True
    return is_first


class Authentication:
    """Refuses requests of the control plane without a key for them, before anything else reads them."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = needed_scope(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if wanted is None:
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._let_in(scope, wanted)
        except FitserveError as error:
            await problem_answer_to(Request(scope), error)(scope, receive, send)
            return
        still_admitted = partial(self._gate.is_still_admitted, scope, wanted)
        scope.setdefault("state", {}).update(caller=caller, is_still_admitted=still_admitted)
        await self._app(scope, receive, send)

    async def _let_in(self, scope: Scope, wanted: KeyScope) -> Caller:
        """Who asks; what only operators ask is no work for a workspace, and not counted."""
        if scope["path"] != OPERATORS_PATH:
            return await self._gate.admit(scope, wanted)
        caller = await self._gate.identify(scope, wanted)
        if caller.workspace_id != DEFAULT_WORKSPACE_ID:
            raise OperatorsOnly
        return caller


def _current_workspace(request: Request) -> str:
    caller: Caller = request.state.caller
    return caller.workspace_id


def _is_still_admitted(request: Request) -> Callable[[], Awaitable[bool]]:
    still_admitted: Callable[[], Awaitable[bool]] = request.state.is_still_admitted
    return still_admitted


CurrentWorkspace = Annotated[str, Depends(_current_workspace)]
StillAdmitted = Annotated[Callable[[], Awaitable[bool]], Depends(_is_still_admitted)]
"""Asks whether the key of this request still opens it, for answers that take long."""
