"""All settings in one class: environment variable, unit, limits and default."""

import re
from base64 import b64decode
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    SettingsConfigDict,
)

from app.bundled import bundled
from app.errors import InvalidRequest

DEFAULT_MODEL = "mouthpiece.onnx"
"""File name of the bundled model."""

SECRETS = frozenset({"api_keys", "database_url", "tts_key", "webhook_secret", "webhook_url"})
"""What workers are not told, because they open what strangers sent."""

PREFIX: Final = "MOUTHPIECE_"
LONGEST_PAUSE: Final = 1e7
"""Seconds between two attempts to deliver something, at most: 115 days."""
_OF_CLUSTERS: Final = re.compile(
    r".*(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP)(_.*)?)=.*|.*_PORT=(tcp|udp|sctp)://.*"
)
"""What Kubernetes sets for a service that is called like this one."""
_BROKER: Final = f"{PREFIX}BROKER_URL"
_ORIGIN: Final = re.compile(r"\*|null|file://|[a-z][a-z0-9+.-]*://[a-z0-9._:\[\]-]+")
_WITH_USUAL_PORT: Final = re.compile(r"http://.*:80|https://.*:443")


class Settings(BaseSettings):
    """Settings of the service, read from ``MOUTHPIECE_*`` environment variables, then from ``.env``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")

    allowed_hosts: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Comma-separated host names of the service, besides addresses, names without a dot and "
        "its own; *: any.",
    )
    cors_origins: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Comma-separated origins whose pages may use the API, such as https://app.example.org.",
    )
    fetch: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Where URLs in requests may point: off, public (the internet), or comma-separated hosts, "
        "such as media.example.org,minio:9000.",
    )
    fetch_seconds: float = Field(
        300.0, gt=0, description="Timeout for fetching one file, and for sending one, seconds."
    )
    max_fetches: int = Field(
        8, ge=1, description="Files fetched at the same time, at most half of them for one key or host."
    )
    webhook_url: str | None = Field(None, description="Webhook URL for jobs whose callers name none.")
    webhook_secret: SecretStr | None = Field(
        None,
        description="Secret that signs webhooks: whsec_ followed by 24 to 64 bytes in base64.",
    )
    webhook_pauses: Annotated[tuple[Annotated[float, Field(ge=0, le=LONGEST_PAUSE)], ...], NoDecode] = Field(
        (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0),
        description="Comma-separated seconds between attempts to deliver a webhook or a result.",
    )
    max_connections: int = Field(
        1000, ge=16, description="Open connections; beyond that, all but health checks are answered 503."
    )

    model: Path | None = Field(None, description="Model file, .pth or .onnx. Unset: the bundled model.")
    models_dir: Path = Field(Path("models"), description="Folder of the models.")
    avatars_dir: Path = Field(Path("avatars"), description="Folder (volume) of the avatars.")
    data_dir: Path = Field(Path("data"), description="Folder (volume) for jobs, uploads and results.")
    frames_dir: Path | None = Field(
        None,
        description="Folder for decoded frames, on a local disk. Unset: beside their avatar.",
    )

    database_url: SecretStr | None = Field(
        None,
        description="postgresql://user:password@host/name; unset: an SQLite file in the data folder.",
    )
    ray_address: str | None = Field(
        None,
        description="host:port of a Ray cluster's head, whose machines then do the work. Unset: this "
        "machine.",
    )
    ray_autoscaling: bool = Field(
        False,
        description="Ask the cluster's autoscaler for machines while jobs are queued, and release idle "
        "workers.",
    )
    max_running_per_key: int = Field(
        4,
        ge=1,
        description="Running jobs per API key; further jobs wait their turn.",
    )

    device: str = Field(
        "auto",
        description="Where a Wav2Lip model and s3fd run: auto (all GPUs where CUDA works, else the CPU), "
        "cpu, cuda, cuda:N, or several: cuda:0,cuda:2.",
    )
    workers: int = Field(
        1,
        ge=1,
        description="Workers where the model runs on the CPU, as the bundled one always does; they share its "
        "cores. A model on CUDA has one on each device.",
    )
    dtype: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        "auto", description="Precision of the model; auto: the fastest that looks like fp32."
    )
    detector: Literal["blazeface", "s3fd"] = Field(
        "blazeface", description="Face detector; s3fd needs the face-alignment extra and its weights."
    )

    api_keys: Annotated[frozenset[SecretStr], NoDecode] = Field(
        frozenset(), description="Comma-separated API keys; empty: no key is required."
    )

    compat: Annotated[frozenset[Literal["replicate", "fal", "sync", "duix"]], NoDecode] = Field(
        frozenset(),
        description="Comma-separated services whose clients may use this one: replicate, fal, sync, duix.",
    )
    tts_url: str | None = Field(
        None,
        description="Text-to-speech server that implements OpenAI's /v1/audio/speech, such as "
        "http://127.0.0.1:8880. Unset: renders accept no text.",
    )
    tts_key: SecretStr | None = Field(None, description="API key of the text-to-speech server.")
    tts_model: str = Field("tts-1", description="Model to request from the text-to-speech server.")
    tts_voice: str = Field("alloy", description="Default voice of the text-to-speech server.")

    max_upload_bytes: int = Field(2 << 30, gt=0, description="Size of an upload, bytes.")
    max_video_seconds: float = Field(600.0, gt=0, description="Duration of an avatar's video, seconds.")
    max_audio_seconds: float = Field(3660.0, gt=0, description="Duration of audio, seconds.")
    max_pixels: int = Field(
        4096 * 2304, gt=0, description="Pixels in a frame of an avatar's video, once they are square."
    )
    max_frames: int = Field(
        220_000, gt=0, description="Frames of a render; the default is an hour at 60 fps."
    )
    max_job_memory_bytes: int = Field(
        4 << 30,
        ge=64 << 20,
        description="Memory for decoding and rendering, besides the loaded model, bytes.",
    )
    max_queued: int = Field(64, ge=1, description="Queued jobs; beyond that, requests are answered 503.")
    max_queued_per_key: int | None = Field(
        None, ge=1, description="Queued jobs of one API key; unset: half of MOUTHPIECE_MAX_QUEUED."
    )
    max_attempts: int = Field(3, ge=1, description="Attempts at a job whose worker dies.")
    stall_seconds: float = Field(
        60.0,
        gt=0,
        description="A job without progress for this long, ten times as long while its result is joined, is "
        "stopped and retried, seconds.",
    )
    job_ttl: float = Field(
        86400.0, gt=0, le=1e10, description="How long a finished job and its files are kept, seconds."
    )
    implicit_avatar_ttl: float = Field(
        86400.0,
        gt=0,
        le=1e10,
        description="How long an avatar made by a one-call render is kept after its last use, seconds.",
    )
    frame_cache_bytes: int = Field(
        20 << 30,
        gt=0,
        description="Budget for all avatars' decoded frames, bytes; the least recently used are dropped.",
    )
    video_encoder: Literal["auto", "x264", "nvenc"] = Field(
        "auto", description="auto: NVENC with a model on CUDA if a trial shows that it works, else x264."
    )
    encoder_threads: int = Field(0, ge=0, description="Threads of x264; 0: chosen by the number of cores.")

    otlp_url: str | None = Field(
        None,
        description="Collector of OpenTelemetry that spans are sent to over OTLP (HTTP), such as "
        "http://127.0.0.1:4318; needs the extra otel.",
    )
    log_format: Literal["console", "json"] = Field("console", description="Format of the log.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level to log."
    )

    @property
    def first_device(self) -> str:
        """The first device, for whatever loads a single model."""
        return self.device.split(",")[0]

    @property
    def ray_head(self) -> tuple[str, int]:
        """Host and port of the cluster's head. Raises ``InvalidRequest`` if there is none."""
        if self.ray_address is None:
            raise InvalidRequest(
                "A cluster needs MOUTHPIECE_RAY_ADDRESS, the host:port of its head; without it "
                "'mouthpiece serve' does all the work on one machine."
            )
        host, _, port = self.ray_address.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def model_path(self) -> Path:
        """The model to load: the configured one, else the default in the models folder or the package."""
        mine = self.models_dir / DEFAULT_MODEL
        return self.model or (mine if mine.exists() else bundled("models") / DEFAULT_MODEL)

    @field_validator("model", "models_dir", "avatars_dir", "data_dir", "frames_dir", mode="before")
    @classmethod
    def _read_path(cls, value: object, info: ValidationInfo) -> object:
        """Take an empty path for none: it would be the working folder."""
        return cls.model_fields[info.field_name or ""].default if value == "" else value

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: SecretStr | None) -> SecretStr | None:
        address = value.get_secret_value() if value else ""
        if address and not address.startswith(("postgresql://", "postgresql+psycopg://")):
            raise ValueError("must begin with postgresql://")
        return value if address else None

    @field_validator("tts_url", "webhook_url", "otlp_url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value and not re.match(r"https?://[^/]", value):
            raise ValueError("must begin with http:// or https://")
        return value or None

    @field_validator("allowed_hosts")
    @classmethod
    def _check_names(cls, value: frozenset[str]) -> frozenset[str]:
        for host in value:
            if host != "*" and not re.fullmatch(r"[A-Za-z0-9._-]+", host) and not _is_address(host):
                raise ValueError(
                    "must be host names such as video.example.org, without scheme and port and in ASCII, or "
                    f"* for any, not {host!r}"
                )
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: frozenset[str]) -> frozenset[str]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin) or _WITH_USUAL_PORT.fullmatch(origin):
                raise ValueError(
                    "must be origins as browsers send them, such as https://app.example.org: with a scheme, "
                    f"in small letters, without a path, a slash at the end or the usual port, not {origin!r}"
                )
        return value

    @field_validator("fetch")
    @classmethod
    def _check_hosts(cls, value: frozenset[str]) -> frozenset[str]:
        for host in value:
            if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", host):
                raise ValueError(f"must be off, public, or hosts such as minio:9000, not {host!r}")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _check_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        try:
            key = b64decode(value.get_secret_value().removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if not 24 <= len(key) <= 64:
            raise ValueError("must be 24 to 64 bytes as base64, such as 'openssl rand -base64 32' makes")
        return value

    @field_validator("webhook_pauses", mode="before")
    @classmethod
    def _split_pauses(cls, value: object) -> object:
        return tuple(part for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda|cuda:\d+(,cuda:\d+)*", value):
            raise ValueError("must be auto, cpu, cuda, cuda:N, or several such as cuda:0,cuda:2")
        if len(set(devices := value.split(","))) < len(devices):
            raise ValueError("must not name a device twice")
        return value

    @field_validator("ray_address")
    @classmethod
    def _check_ray(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"[A-Za-z0-9._-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", value):
            raise ValueError("must be host:port, that of the cluster's head, such as 10.0.0.5:6379")
        return value or None

    @field_validator("api_keys", "allowed_hosts", "cors_origins", "fetch", "compat", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        return (
            frozenset(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )


@lru_cache
def get_settings() -> Settings:
    """Return the process's settings, read once."""
    return Settings()


def named() -> dict[str, str]:
    """Return all that the environment, else ``.env``, says under our prefix, by names in capitals."""
    sources = DotEnvSettingsSource(Settings), EnvSettingsSource(Settings)
    said = {name.upper(): value or "" for source in sources for name, value in source.env_vars.items()}
    return {name: value for name, value in said.items() if name.startswith(PREFIX)}


def check_names() -> None:
    """Raise ``InvalidRequest`` if a setting of an earlier release is set that cannot just be ignored."""
    if named().get(_BROKER):
        raise InvalidRequest(
            f"{_BROKER} belongs to an earlier release: RabbitMQ is no longer used. Unset it, and set "
            "MOUTHPIECE_RAY_ADDRESS for many machines; docs/cluster.md says how."
        )


def unknown_settings() -> Iterator[tuple[str, str]]:
    """Yield each name under our prefix that is no setting, and the setting that is near to it, or nothing."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name, value in sorted(named().items()):
        if name not in (*known, _BROKER) and not _OF_CLUSTERS.fullmatch(f"{name}={value}"):
            yield name, next(iter(get_close_matches(name, known, 1, 0.8)), "")


def _is_address(host: str) -> bool:
    """Whether a host is an IP address; one of IPv6 may be in brackets."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
