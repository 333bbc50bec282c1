"""Text-to-speech: a server turns the text of a render into audio, which is then an upload like any other.

Any server with OpenAI's ``POST /v1/audio/speech`` will do
(https://platform.openai.com/docs/api-reference/audio).
"""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import structlog
from anyio import open_file

from app.api.forms import UploadedFile, caption, too_large
from app.errors import InvalidRequest, SpeechFailed
from app.settings import Settings
from app.threads import UPLOADS, on_uploads
from app.volume import Growth, storing

log = structlog.stdlib.get_logger(__name__)

PATH: Final = "/v1/audio/speech"
CONNECT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 120.0
"""How long the server may send nothing, for instance while it loads its voice."""
MOST_AT_ONCE: Final = 4
"""How many texts are said at a time; the others wait."""

_MESSAGE_LETTERS: Final = 300
_OURS_TO_MEND: Final = frozenset({401, 403, 404, 405, 407, 408, 429})
"""What the server refuses not because of the text or the voice: the key, the address, the rate."""


class Speaker:
    """The text-to-speech server that the settings name, or none; an asynchronous context."""

    def __init__(self, settings: Settings) -> None:
        key = settings.tts_key.get_secret_value() if settings.tts_key else None
        self._address = _endpoint(settings.tts_url) if settings.tts_url else None
        self._model, self._voice = settings.tts_model, settings.tts_voice
        self._max_bytes = settings.max_upload_bytes
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else None,
            timeout=httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=MOST_AT_ONCE),
            verify=httpx.create_ssl_context(),  # which heeds SSL_CERT_FILE all the same
            trust_env=False,  # no proxy
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def there(self) -> bool:
        """Whether there is a server, so that a text can be said."""
        return self._address is not None

    async def say(self, text: str, voice: str | None, destination: Path) -> UploadedFile:
        """Write the sound of ``text`` to a file, called by its beginning; ``voice`` is a name that it knows.

        Raises ``InvalidRequest`` if there is no server, or it does not take the text or the voice,
        ``SpeechFailed`` if it does not answer with sound, ``UploadTooLarge``, ``StorageFull``.
        """
        if self._address is None:
            raise InvalidRequest(
                "This service has no text-to-speech: send audio, or ask the operator to set "
                "MOUTHPIECE_TTS_URL to a server that implements OpenAI's /v1/audio/speech, such as "
                "Kokoro-FastAPI, speaches or openedai-speech."
            )
        asked = {
            "model": self._model,
            "input": text,
            "voice": voice or self._voice,
            "response_format": "wav",
        }
        try:
            async with self._client.stream("POST", self._address, json=asked) as answer:
                await self._check(answer)
                return UploadedFile(caption(text), await self._store(answer, destination))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.error("text_to_speech_failed", error=repr(error))
            raise SpeechFailed(
                "The text-to-speech server does not respond; try again, or send audio. The service's log "
                "has the details."
            ) from error

    async def _check(self, answer: httpx.Response) -> None:
        """Raise unless the answer is one that may be sound."""
        kind = answer.headers.get("content-type", "")
        if answer.is_success and not kind.startswith(("application/json", "text/")):
            return
        said = _message(await _beginning(answer))
        if answer.is_client_error and answer.status_code not in _OURS_TO_MEND:
            raise InvalidRequest(f"The text-to-speech server rejected the text or the voice: {said}")
        log.error("text_to_speech_failed", status=answer.status_code, said=said)
        raise SpeechFailed(
            f"The text-to-speech server responded with status {answer.status_code} and no audio; the "
            "service's log has its message."
        )

    async def _store(self, answer: httpx.Response, destination: Path) -> str:
        """Write the sound, and return its hash."""
        digest = sha256()
        growth = Growth(destination.parent)
        with storing():
            async with await open_file(destination, "wb", 0, limiter=UPLOADS) as file:
                async for piece in answer.aiter_bytes(1 << 20):
                    await on_uploads(growth.add, len(piece))
                    if growth.total > self._max_bytes:
                        raise too_large(self._max_bytes)
                    digest.update(piece)
                    await file.write(piece)
        if not growth.total:
            raise SpeechFailed("The text-to-speech server sent an empty file; try another text.")
        return digest.hexdigest()


def _endpoint(url: str) -> str:
    """Return the address of the call, whether the server's, its API's or the call's own is given."""
    base = url.rstrip("/").removesuffix(PATH).removesuffix("/v1")
    return base + PATH


async def _beginning(answer: httpx.Response) -> bytes:
    """Return as much of an answer as can hold a message."""
    async for piece in answer.aiter_bytes(4096):
        return piece
    return b""


def _message(body: bytes) -> str:
    """Return the sentence of an error, as OpenAI, FastAPI and others send it."""
    said: Any = body.decode("utf-8", "replace")
    with suppress(ValueError):
        said = httpx.Response(200, content=body).json()
    for name in ("error", "detail", "message"):
        if isinstance(said, Mapping) and name in said:
            said = said[name]
    text = " ".join(str(said).split())
    return "".join(letter for letter in text if letter.isprintable())[:_MESSAGE_LETTERS] or "it says no more"
