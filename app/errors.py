"""All errors that Mouthpiece raises on purpose, and the problem documents they become.

MouthpieceError                      status  code
├── InvalidRequest                      422  invalid-request
├── Unauthorized                        401  unauthorized
├── ForeignOrigin                       403  foreign-origin
├── UnknownHost                         421  unknown-host
├── IdempotencyKeyReused                422  idempotency-key-reused
├── OutsideError
│   ├── AddressRefused                  422  address-refused
│   └── FetchFailed                     422  fetch-failed
├── UnsupportedMedia
│   ├── NotAVideo                       415  not-a-video
│   └── NotAudio                        415  not-audio
├── UnusableMedia
│   ├── NoFace                          422  no-face
│   └── NoSound                         422  no-sound
├── NotFound
│   ├── AvatarNotFound                  404  avatar-not-found
│   └── JobNotFound                     404  job-not-found
├── Conflict
│   ├── AvatarExists                    409  avatar-exists
│   ├── JobNotFinished                  409  job-not-finished
│   └── JobFailed                       409  job-failed
├── Gone
│   ├── JobCanceled                     410  job-canceled
│   └── AvatarDeleted                   410  avatar-deleted
├── LimitExceeded
│   ├── UploadTooLarge                  413  upload-too-large
│   ├── MediaTooLong                    413  media-too-long
│   ├── TooManyPixels                   413  too-many-pixels
│   ├── TooManyFrames                   413  too-many-frames
│   └── TooMuchMemory                   413  too-much-memory
├── Unavailable
│   ├── QueueFull                       503  queue-full
│   ├── NotReady                        503  not-ready
│   ├── ShuttingDown                    503  shutting-down
│   ├── TooBusy                         503  too-busy
│   ├── StorageFull                     507  storage-full
│   ├── StorageReadOnly                 507  storage-read-only
│   └── StorageDamaged                  507  storage-damaged
├── AvatarDamaged                       500  avatar-damaged
├── SpeechFailed                        502  speech-failed
├── ModelError
│   ├── ModelNotFound                   500  model-not-found
│   ├── InvalidModel                    500  invalid-model
│   └── EngineUnavailable               500  engine-unavailable
├── RenderProcessError
│   ├── RenderProcessCrashed            500  render-process-crashed
│   └── RenderProcessStalled            500  render-process-stalled
└── DataFolderError
    ├── DataFolderInUse                 500  data-folder-in-use
    ├── DatabaseUnreachable             500  database-unreachable
    └── IncompatibleData                500  incompatible-data

The codes are stable: clients branch on ``type`` (``urn:mouthpiece:problem:<code>``), never on the text.
They stand in one module, long as it is, because they are one list: of all that a client can be told.
"""

from typing import ClassVar, TypedDict

PROBLEM_TYPE_PREFIX = "urn:mouthpiece:problem:"


class Problem(TypedDict):
    """A problem document (RFC 9457) as plain data, as it is stored with a job and sent to a client."""

    type: str
    title: str
    status: int
    detail: str


class MouthpieceError(Exception):
    """Base of the tree. ``detail`` is one sentence: what went wrong and how to fix it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    retry_after: int | None = None
    """Seconds after which the same request may succeed; sent as ``Retry-After``."""
    location: str | None = None
    """Where the result will be; sent as ``Content-Location``."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def problem(self) -> Problem:
        """Return the problem document of this error."""
        return Problem(
            type=PROBLEM_TYPE_PREFIX + self.code, title=self.title, status=self.status, detail=self.detail
        )


class InvalidRequest(MouthpieceError):
    """A parameter is missing, malformed or out of range."""

    status, code, title = 422, "invalid-request", "Invalid request"


class Unauthorized(MouthpieceError):
    """The request lacks a valid API key."""

    status, code, title = 401, "unauthorized", "Not authorised"


class ForeignOrigin(MouthpieceError):
    """A page of another origin requests a change."""

    status, code, title = 403, "foreign-origin", "Foreign origin"


class UnknownHost(MouthpieceError):
    """The request's host name is not one of the service's."""

    status, code, title = 421, "unknown-host", "Unknown host"


class IdempotencyKeyReused(MouthpieceError):
    """Another request was sent under the same key."""

    status, code, title = 422, "idempotency-key-reused", "Idempotency key reused"


class OutsideError(MouthpieceError):
    """A URL in the request cannot be used."""

    status, code, title = 422, "unusable-address", "Unusable address"


class AddressRefused(OutsideError):
    """The service may not connect to the URL."""

    code, title = "address-refused", "Address refused"


class FetchFailed(OutsideError):
    """The URL did not deliver the expected file."""

    code, title = "fetch-failed", "Fetch failed"


class UnsupportedMedia(MouthpieceError):
    """The service does not open uploads of this kind."""

    status, code, title = 415, "unsupported-media", "Unsupported media"


class NotAVideo(UnsupportedMedia):
    """The file is not a video, or is damaged beyond decoding."""

    code, title = "not-a-video", "Not a video"


class NotAudio(UnsupportedMedia):
    """The file is not audio, or is damaged beyond decoding."""

    code, title = "not-audio", "Not audio"


class UnusableMedia(MouthpieceError):
    """The upload decodes, but lacks something the service needs."""

    status, code, title = 422, "unusable-media", "Unusable media"


class NoFace(UnusableMedia):
    """No frame of the video shows a face, or not the requested one."""

    code, title = "no-face", "No face found"

    def __init__(self, detail: str, *, seen: bool = False) -> None:
        super().__init__(detail)
        self.seen = seen
        """Whether there is an upright face, only not the one that was asked for."""


class NoSound(UnusableMedia):
    """The file has no audio track, or an empty one."""

    code, title = "no-sound", "No sound found"


class NotFound(MouthpieceError):
    """The resource does not exist."""

    status, code, title = 404, "not-found", "Not found"


class AvatarNotFound(NotFound):
    """No avatar has this id."""

    code, title = "avatar-not-found", "Avatar not found"


class JobNotFound(NotFound):
    """No job has this id, or it has expired."""

    code, title = "job-not-found", "Job not found"


class Conflict(MouthpieceError):
    """The request conflicts with the state of the resource."""

    status, code, title = 409, "conflict", "Conflict"


class AvatarExists(Conflict):
    """The avatar id is taken."""

    code, title = "avatar-exists", "Avatar id taken"


class JobNotFinished(Conflict):
    """The job has no result yet."""

    code, title = "job-not-finished", "Job not finished"


class JobFailed(Conflict):
    """The job ended without a result; its own ``error`` says why."""

    code, title = "job-failed", "Job failed"


class Gone(MouthpieceError):
    """The resource existed and was removed."""

    status, code, title = 410, "gone", "Gone"


class JobCanceled(Gone):
    """The caller canceled the job."""

    code, title = "job-canceled", "Job canceled"


class AvatarDeleted(Gone):
    """The avatar was deleted while the job was queued or running."""

    code, title = "avatar-deleted", "Avatar deleted"


class LimitExceeded(MouthpieceError):
    """The upload exceeds a limit of this installation."""

    status, code, title = 413, "limit-exceeded", "Limit exceeded"


class UploadTooLarge(LimitExceeded):
    """The upload has too many bytes."""

    code, title = "upload-too-large", "Upload too large"


class MediaTooLong(LimitExceeded):
    """The video or audio is too long."""

    code, title = "media-too-long", "Media too long"


class TooManyPixels(LimitExceeded):
    """The video's frames have too many pixels."""

    code, title = "too-many-pixels", "Too many pixels"


class TooManyFrames(LimitExceeded):
    """The render or the avatar would have too many frames."""

    code, title = "too-many-frames", "Too many frames"


class TooMuchMemory(LimitExceeded):
    """Decoding the upload takes too much memory."""

    code, title = "too-much-memory", "Too much memory"


class Unavailable(MouthpieceError):
    """The service cannot accept the request at the moment."""

    status, code, title = 503, "unavailable", "Service unavailable"
    retry_after = 5


class QueueFull(Unavailable):
    """The queue is full."""

    code, title = "queue-full", "Queue full"


class NotReady(Unavailable):
    """The model is still loading, or the worker is restarting."""

    code, title = "not-ready", "Not ready"


class ShuttingDown(Unavailable):
    """The service is stopping while the request waits; its job continues after the next start."""

    code, title = "shutting-down", "Shutting down"


class StorageFull(Unavailable):
    """The volume has no space for the result."""

    status, code, title = 507, "storage-full", "Storage full"


class TooBusy(Unavailable):
    """The service has reached its limit of connections or open files."""

    code, title = "too-busy", "Too busy"


class StorageReadOnly(Unavailable):
    """The service may not write to the volume, or not read what lies there."""

    status, code, title = 507, "storage-read-only", "Storage read-only"


class StorageDamaged(Unavailable):
    """On the volume, something else is in the place of a file."""

    status, code, title = 507, "storage-damaged", "Storage damaged"


class AvatarDamaged(MouthpieceError):
    """A file of the avatar is missing, or differs from the manifest."""

    code, title = "avatar-damaged", "Avatar damaged"


class SpeechFailed(MouthpieceError):
    """The text-to-speech server did not answer with audio."""

    status, code, title = 502, "speech-failed", "Text-to-speech failed"


class ModelError(MouthpieceError):
    """The model cannot be used as configured."""

    code, title = "model-error", "Model error"


class ModelNotFound(ModelError):
    """There is no model file at the configured path."""

    code, title = "model-not-found", "Model not found"


class InvalidModel(ModelError):
    """The model file is truncated, incomplete or of another kind."""

    code, title = "invalid-model", "Invalid model"


class EngineUnavailable(ModelError):
    """A package or device that the model needs is missing."""

    code, title = "engine-unavailable", "Engine unavailable"


class RenderProcessError(MouthpieceError):
    """The worker failed, as far as known through no fault of the caller."""

    code, title = "render-process-error", "Render process error"


class RenderProcessCrashed(RenderProcessError):
    """The worker died in every attempt at this job."""

    code, title = "render-process-crashed", "Render process crashed"


class RenderProcessStalled(RenderProcessError):
    """The worker stalled in every attempt at this job."""

    code, title = "render-process-stalled", "Render process stalled"


class DataFolderError(MouthpieceError):
    """The data folder cannot be used as configured."""

    code, title = "data-folder-error", "Data folder error"


class DataFolderInUse(DataFolderError):
    """Another service uses the same data folder."""

    code, title = "data-folder-in-use", "Data folder in use"


class DatabaseUnreachable(DataFolderError):
    """The job database cannot be opened or reached: PostgreSQL does not answer, or a volume is full."""

    code, title = "database-unreachable", "Database unreachable"


class IncompatibleData(DataFolderError):
    """The job database is of a newer release, or not one at all."""

    code, title = "incompatible-data", "Incompatible data"


def from_problem(problem: Problem) -> MouthpieceError:
    """Return the error that a problem document was made of."""
    kinds = [MouthpieceError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    made = {kind.code: kind for kind in reversed(kinds)}
    return made[problem["type"].removeprefix(PROBLEM_TYPE_PREFIX)](problem["detail"])
