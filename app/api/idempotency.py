"""``Idempotency-Key``: a request that is sent again gets the job that it made the first time.

By the draft of the IETF (draft-ietf-httpapi-idempotency-key-header). A key belongs to an API key, and is kept
with its job: as long as that is known, another request under the same key is refused. A request that was
refused leaves nothing, and can be repeated.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from hashlib import sha256
from typing import Final
from weakref import WeakValueDictionary

from fastapi import Request

from app.api.dependencies import Services
from app.api.forms import Upload
from app.errors import IdempotencyKeyReused, InvalidRequest, JobNotFound
from app.jobs.job import Job
from app.threads import on_table

HEADER: Final = "Idempotency-Key"
DESCRIPTION: Final = (
    "A text of your own, up to 255 characters: the same request under it makes no second job."
)
_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")

_turns: Final[WeakValueDictionary[str, asyncio.Lock]] = WeakValueDictionary()


def claim_of(request: Request, owner: str | None) -> str | None:
    """Return the digest of a request's key and its owner; None without a key. Raises ``InvalidRequest``."""
    all_given = request.headers.getlist(HEADER)
    if not all_given:
        return None
    given = all_given[0]
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if len(all_given) > 1 or not _KEY.fullmatch(key):
        raise InvalidRequest(f"{HEADER}: send one, of 1 to 255 printable ASCII characters, such as a UUID.")
    return sha256(f"{owner or ''}\n{key}".encode()).hexdigest()


def fingerprint_of(request: Request, upload: Upload) -> str:
    """Return a digest of what a request asks for: where, its fields, its files or their addresses."""
    asked = {
        "path": request.url.path,
        "query": sorted(request.query_params.multi_items()),
        "fields": sorted(upload.fields.items()),
        "files": sorted((name, file.sha256) for name, file in upload.files.items()),
        "addresses": sorted(upload.addresses.items()),
    }
    return sha256(json.dumps(asked).encode()).hexdigest()


@asynccontextmanager
async def turn(claim: str | None) -> AsyncGenerator[None]:
    """Let one request under a key make its job before the next one looks for it."""
    async with nullcontext() if claim is None else _turns.setdefault(claim, asyncio.Lock()):
        yield


async def claimed(services: Services, claim: str | None) -> Job | None:
    """Return the job that was made under a key, as it stands now."""
    job_id = None if claim is None else await on_table(services.table.claimed, claim)
    try:
        return None if job_id is None else await services.scheduler.get(job_id)
    except JobNotFound:
        return None


def check_same(job: Job, fingerprint: str) -> None:
    """Raise ``IdempotencyKeyReused`` unless a job was made by such a request."""
    if job.fingerprint != fingerprint:
        raise IdempotencyKeyReused(
            f"Another request was sent under this {HEADER}, and its job is still on record; use a new key."
        )
