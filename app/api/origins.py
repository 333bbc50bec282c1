"""Which pages may use the service: its own, and those that the operator allows.

Without keys, whoever reaches the service may use it, and a browser reaches it for every page it shows. A
page of another origin can send a form; one whose name was made to point here (DNS rebinding) can even read
the responses. ``Sec-Fetch-Site`` and ``Origin``, which pages cannot forge, reveal the first; ``Host``
reveals the second.
"""

import re
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import error_response
from app.errors import ForeignOrigin, MouthpieceError, UnknownHost

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")
SENT: Final = (
    "Authorization",
    "Content-Disposition",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Last-Event-ID",
    "Prefer",
    "Range",
    "Traceparent",
    "X-Api-Key",
)
READ: Final = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Location",
    "Content-Range",
    "ETag",
    "Location",
    "Preference-Applied",
    "Retry-After",
)
"""Headers that pages of the origins that are let in may send, and read."""

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})
_PORT: Final = re.compile(r":[0-9]*$")


class OriginGuard:
    """Middleware that refuses requests of foreign pages."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], origins: Collection[str]) -> None:
        """``hosts`` are names beside those that no foreign page can have; ``*`` is any."""
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem."""
        error = self._objection(scope) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await error_response(error)(scope, receive, send)

    def _objection(self, scope: Scope) -> MouthpieceError | None:
        headers = Headers(scope=scope)
        if not self._is_known(_PORT.sub("", headers.get("host", "")).lower()):
            return UnknownHost(
                "The name in the Host header is not one of this service's; the operator can add it to "
                "MOUTHPIECE_ALLOWED_HOSTS."
            )
        if scope["method"] in _SAFE_METHODS or self._is_own(headers):
            return None
        return ForeignOrigin(
            "Pages of other origins may not do this; the operator can add the origin to "
            "MOUTHPIECE_CORS_ORIGINS."
        )

    def _is_known(self, host: str) -> bool:
        """Whether a host is one of ours, or one that no foreign page can have: an address, a lone name."""
        if "*" in self._hosts or host in self._hosts or host.endswith(".localhost"):
            return True
        try:
            ip_address(host.strip("[]"))
        except ValueError:
            return "." not in host
        return True

    def _is_own(self, headers: Headers) -> bool:
        """Whether a request comes from a page of ours, from one that is let in, or from no page at all."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin in self._origins or "*" in self._origins:
            return True
        if site is not None:
            return site in _OWN
        if origin is None:
            return True
        place = origin.partition("://")[2].lower()
        return place != "" and place == headers.get("host", "").lower()
