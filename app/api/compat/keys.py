"""The key of a request, in whichever header another service's client sends it."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from app.api.dependencies import ServicesDep, check_key

_authorization = APIKeyHeader(
    name="Authorization",
    scheme_name="VendorAuthorization",
    auto_error=False,
    description="One of MOUTHPIECE_API_KEYS, after `Bearer`, `Token` or `Key`.",
)
_header = APIKeyHeader(
    name="x-api-key", scheme_name="VendorKey", auto_error=False, description="One of MOUTHPIECE_API_KEYS."
)
_SCHEMES = ("bearer", "token", "key")


async def require_vendor_key(
    request: Request,
    services: ServicesDep,
    authorization: Annotated[str | None, Depends(_authorization)],
    key: Annotated[str | None, Depends(_header)],
) -> None:
    """Raise ``Unauthorized`` unless the request carries one of the keys; note down whose it is."""
    scheme, _, given = (authorization or "").partition(" ")
    check_key(request, services, given.strip() if scheme.lower() in _SCHEMES else key or "")
