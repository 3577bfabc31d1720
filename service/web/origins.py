"""Who may ask from where: hosts that requests may be for, and pages of other origins whose scripts may ask.

There may be no password between a browser and this service. So the pages that it shows must not be able to use it in their
reader's name: not by a name that leads here (DNS rebinding), and not by a form of theirs (cross-site request forgery).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.refusals import refuse

ANY = "*"
READING = ("GET", "HEAD", "OPTIONS")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
ACCEPTED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "Inference-Header-Content-Length",
    "Last-Event-ID",
    "Prefer",
    "Range",
    "X-API-Key",
    "X-Request-ID",
)
SHOWN_HEADERS = (
    "Content-Disposition",
    "ETag",
    "Fitserve-Model-Version",
    "Inference-Header-Content-Length",
    "Location",
    "Retry-After",
    "X-Request-ID",
)
FROM_PAGES = (b"origin", b"sec-fetch-site")
"""Headers that only browsers send."""
REMEMBERED_HOSTS = 256
LONGEST_HOST = 260
"""A name of 253 characters and its port; what is longer is no host, and not worth being remembered."""
STRANGE_HOST = "This service does not answer for the host that the request names. Name it in FITSERVE_TRUSTED_HOSTS if it should."
STRANGE_PAGE = "A page of another origin may not do this. Name its origin in FITSERVE_CORS_ORIGINS if it should."


class Origins:
    """Stands before the whole application, and looks where a request is from and for which host it is."""

    def __init__(self, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> None:
        """``hosts``: names that are trusted, ``*.example.com`` for all below one, ``*`` for any. Addresses and names without
        a dot always are, since nobody can make them lead elsewhere.

        ``origins``: pages whose scripts may ask, e.g. ``https://example.com``.
        """
        self._hosts = [host.lower() for host in hosts]
        self._takes_any_host = ANY in hosts
        self._origins = frozenset(origins)
        self._remembered = lru_cache(REMEMBERED_HOSTS)(self._trusts)

    def trusts(self, host: bytes) -> bool:
        """Whether the service answers for a host, as a request names it."""
        return self._remembered(host) if len(host) <= LONGEST_HOST else self._trusts(host)

    def lets_pass(self, scope: Scope) -> bool:
        """Whether a request can be answered without a closer look: its host is trusted, and it comes from no page."""
        for name, value in scope["headers"]:  # every prediction comes by here
            if name == b"host":
                if not self._takes_any_host and not self.trusts(value):
                    return False
            elif name in FROM_PAGES:
                return False
        return True

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application behind it."""
        if self._origins:
            app = CORSMiddleware(
                app,
                allow_origins=sorted(self._origins),
                allow_methods=METHODS,
                allow_headers=ACCEPTED_HEADERS,
                expose_headers=SHOWN_HEADERS,
            )

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or self.lets_pass(scope):
                await app(scope, receive, send)
            elif not all(self.trusts(value) for name, value in scope["headers"] if name == b"host"):
                await refuse(scope, send, 400, STRANGE_HOST)
            elif self._is_forged(scope):
                await refuse(scope, send, 403, STRANGE_PAGE)
            else:
                await app(scope, receive, send)

        return guarded

    def _trusts(self, host: bytes) -> bool:
        name = re.sub(r":\d*$", "", host.decode("latin-1").lower())
        if self._takes_any_host or "." not in name or _is_address(name):
            return True
        return any(name == known or (known.startswith("*.") and name.endswith(known[1:])) for known in self._hosts)

    def _is_forged(self, scope: Scope) -> bool:
        """Whether a page of another origin wants to change something here; clients that are no browsers say nothing of pages.

        Source: W3C Fetch Metadata; older browsers send ``Origin`` alone, which is compared with the host then.
        """
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if scope["method"] in READING or origin in self._origins:
            return False
        if site is not None:
            return site not in ("same-origin", "none")
        return origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


CLOSED = Origins()
"""What stands before an application that has no name and no page of others."""
