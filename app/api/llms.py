"""``/llms.txt`` (https://llmstxt.org): what the service does and how to call it, on one page for agents.

The examples are written here; everything else is read from the description of the API, so that it is true.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from app.api.dependencies import ServicesDep

router = APIRouter(tags=["operations"])

_METHODS: Final = ("get", "post", "put", "delete")

_BEGINNING: Final = """\
# Mouthpiece

> A self-hosted service that makes a filmed person say new words: send a video of a face (or a photo) and
> audio, and get an MP4 whose lips follow the audio.

An *avatar* is a video, prepared once. A *render* has an avatar say something. A *check* says how well
the person in a video would speak. A *job* is any of these while it is made, and for {kept} after that.
{key}

## Examples

Make an avatar from a video, and have it speak. Each response comes when the work is done, which takes
about as long as the media lasts:

```sh
curl -F id=anna -F video=@anna.mp4 {base}/v1/avatars
curl -F audio=@words.wav -o talk.mp4 {base}/v1/avatars/anna/renders
```

Do not wait: `Prefer: respond-async` returns 202 and a job at once. Poll `Location`
until `state` is `succeeded`, `failed` (`error` says why) or `canceled`; then fetch `links.video`:

```sh
curl -H 'Prefer: respond-async' -F audio=@words.wav {base}/v1/avatars/anna/renders
```

Send files as multipart/form-data. Instead of a file you may send its address (`video_url`,
`audio_url`, `voice_url`, `background_url`), in a form or as JSON: a `data:` URI always, others if the
service may fetch them. Unknown fields are ignored and named in the job's `warnings`. `webhook_url` is
called when the job has ended. A request with an `Idempotency-Key` can be sent again and makes no second
job.

Errors are problem documents (RFC 9457): branch on the end of `type`, show `detail`, a sentence that says
how to fix the problem.
"""

_KEYLESS: Final = "No key is needed."
_KEYED: Final = "Every call under `/v1` needs the header `Authorization: Bearer KEY`."

_END: Final = """\


## More

- [The whole API]({base}/openapi.json): OpenAPI, with every response
- [Interactive documentation]({base}/docs): the same for people
- [The studio]({base}/): a page for people who make videos
"""


@router.get("/llms.txt", response_class=PlainTextResponse)
async def llms(request: Request, services: ServicesDep) -> str:
    """Describe the service and how to call it, on one page for agents."""
    document = request.app.openapi()
    return page(document, str(request.base_url).rstrip("/"), services.settings.job_ttl)


def page(document: Mapping[str, Any], base: str, job_ttl: float) -> str:
    """Return the page of an API that OpenAPI describes and that is reached at ``base``.

    ``job_ttl`` is how long jobs are kept after their end, seconds.
    """
    keyed = "securitySchemes" in document.get("components", {})
    key, kept = _KEYED if keyed else _KEYLESS, _lasting(job_ttl)
    lines = [_BEGINNING.format(base=base, key=key, kept=kept), "## Calls", ""]
    for path, calls in document["paths"].items():
        for method in _METHODS:
            if method in calls:
                lines += _call(method.upper(), path, calls[method])
    return "\n".join(lines) + _END.format(base=base)


def _call(method: str, path: str, call: Mapping[str, Any]) -> Iterator[str]:
    yield f"- `{method} {path}`: {call['summary']}."
    for parameter in call.get("parameters", ()):
        if parameter["in"] != "path":
            where = "header" if parameter["in"] == "header" else "in the query"
            described = parameter["schema"] | {"description": parameter.get("description")}
            yield _field(parameter["name"], described, where)
    for name, field in _fields(call).items():
        yield _field(name, field)


def _fields(call: Mapping[str, Any]) -> Mapping[str, Any]:
    content = call.get("requestBody", {}).get("content", {})
    fields: Mapping[str, Any] = content.get("multipart/form-data", {}).get("schema", {}).get("properties", {})
    return fields


def _field(name: str, field: Mapping[str, Any], where: str = "") -> str:
    choices = [f"`{choice}`" for choice in field.get("enum", ())]
    default = field.get("default")
    notes = [where] if where else []
    notes += [" or ".join([", ".join(choices[:-1]), choices[-1]])] if len(choices) > 1 else []
    notes += [] if default in (None, [], "") else [f"default `{_value(default)}`"]
    inside = f" ({'; '.join(notes)})" if notes else ""
    return f"  - `{name}`{inside}: {_line(field.get('description') or name)}"


def _lasting(seconds: float) -> str:
    """Return a duration in the largest unit of which it is a whole number."""
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}{'' if seconds == size else 's'}"
    return f"{seconds:.0f} seconds"


def _value(default: Any) -> str:
    return default if isinstance(default, str) else json.dumps(default)


def _line(text: str) -> str:
    """Return the first paragraph of a description, as one line."""
    return " ".join(text.split("\n\n")[0].split())
