"""Webhooks as they are sent: by Standard Webhooks (https://www.standardwebhooks.com), HMAC with SHA-256."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

PREFIX = "whsec_"
"""What a secret may begin with; base64 follows."""


def body(event: str, data: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Return the body of a message in our own words, as JSON."""
    return {"type": event, "timestamp": at.isoformat().replace("+00:00", "Z"), "data": data}


def headers(message_id: str, at: datetime, sent: bytes, secret: str | None) -> dict[str, str]:
    """Return the headers of a message: its id, the time, and a signature where there is a secret."""
    stamp = str(int(at.timestamp()))
    named = {"webhook-id": message_id, "webhook-timestamp": stamp}
    if secret is None:
        return named
    key = b64decode(secret.removeprefix(PREFIX))
    signed = hmac.digest(key, f"{message_id}.{stamp}.".encode() + sent, sha256)
    return named | {"webhook-signature": f"v1,{b64encode(signed).decode()}"}
