"""Signatures of webhooks, by Standard Webhooks (https://www.standardwebhooks.com): HMAC with SHA-256."""

import hmac
from base64 import b64decode, b64encode
from datetime import datetime
from hashlib import sha256

PREFIX = "whsec_"
"""What a secret may begin with; base64 follows."""


def headers(message_id: str, at: datetime, body: bytes, secret: str | None) -> dict[str, str]:
    """Return the headers of a message: its id, the time, and a signature where there is a secret."""
    stamp = str(int(at.timestamp()))
    named = {"webhook-id": message_id, "webhook-timestamp": stamp}
    if secret is None:
        return named
    key = b64decode(secret.removeprefix(PREFIX))
    signed = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, sha256)
    return named | {"webhook-signature": f"v1,{b64encode(signed).decode()}"}
