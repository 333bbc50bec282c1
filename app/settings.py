"""The one settings class: every knob, its environment variable, its unit and its default."""

import re
from base64 import b64decode
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.bundled import bundled

DEFAULT_MODEL = "mouthpiece.onnx"
"""File name of the model that ships with the project."""

HostEntry = Annotated[
    str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$", to_lower=True)
]
"""A host, with or without a port."""

SECRETS = frozenset({"api_keys", "database_url", "tts_key", "webhook_secret", "webhook_url"})
"""What workers are not told, because they open what strangers sent."""


class Settings(BaseSettings):
    """Settings of the service, read from ``MOUTHPIECE_*`` environment variables, then from ``.env``."""

    model_config = SettingsConfigDict(env_prefix="MOUTHPIECE_", env_file=".env", extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address that the HTTP server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port of the HTTP server; 0 takes a free one.")

    allowed_hosts: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Comma-separated host names by which the service is reached, beside addresses, names "
        "without a dot and its own; *: any.",
    )
    cors_origins: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Comma-separated origins, such as https://app.example.org, whose pages may use this.",
    )
    fetch: Annotated[frozenset[HostEntry], NoDecode] = Field(
        frozenset(),
        description="What addresses in requests may lead to: off, public (the internet), or hosts by commas, "
        "such as media.example.org,minio:9000.",
    )
    fetch_seconds: float = Field(
        300.0, gt=0, description="Longest time that fetching one file may take, seconds."
    )
    max_fetches: int = Field(8, ge=1, description="Most files that are fetched at a time; others wait.")
    webhook_url: str | None = Field(
        None, description="Where news of jobs are sent whose callers name no address of their own."
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="What webhooks are signed with: whsec_ and 24 to 64 bytes as base64.",
    )
    webhook_pauses: Annotated[tuple[float, ...], NoDecode] = Field(
        (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0),
        description="Comma-separated seconds between the attempts to deliver something.",
    )
    max_connections: int = Field(
        1000, ge=16, description="Most connections at a time; one more is answered 503, but for probes."
    )

    model: Path | None = Field(None, description="The model, .pth or .onnx. Unset: the one that ships.")
    models_dir: Path = Field(Path("models"), description="Folder that holds the models.")
    avatars_dir: Path = Field(Path("avatars"), description="Folder (volume) that holds the avatars.")
    data_dir: Path = Field(Path("data"), description="Folder (volume) for jobs, uploads and results.")
    frames_dir: Path | None = Field(
        None,
        description="Folder for decoded frames, on a disk of this machine; unset: beside their avatar.",
    )

    database_url: str | None = Field(
        None,
        repr=False,
        description="postgresql://user:password@host/name; unset: an SQLite file in the data folder.",
    )
    ray_address: str | None = Field(
        None,
        description="host:port of a Ray cluster's head: its machines do the work. Unset: this one does it.",
    )
    ray_autoscaling: bool = Field(
        False,
        description="Whether the cluster's autoscaler is asked for machines while jobs wait, and workers "
        "without work are given up.",
    )
    max_running_per_key: int = Field(
        4,
        ge=1,
        description="Most jobs of one API key that are under way at a time; the others wait their turn.",
    )

    device: str = Field(
        "auto",
        description="auto (all GPUs where CUDA works, else the CPU), cpu, cuda, cuda:N, or several: "
        "cuda:0,cuda:2.",
    )
    workers: int = Field(
        1,
        ge=1,
        description="Workers on a CPU, which share its cores; on CUDA there is one a device.",
    )
    dtype: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        "auto", description="Precision of the model; auto: the fastest that looks the same as fp32."
    )
    detector: Literal["blazeface", "s3fd"] = Field(
        "blazeface", description="Face detector; s3fd needs the face-alignment extra and its weights."
    )

    api_keys: Annotated[frozenset[SecretStr], NoDecode] = Field(
        frozenset(), description="Comma-separated API keys; empty: no key is asked for."
    )

    tts_url: str | None = Field(
        None,
        description="Text-to-speech server with OpenAI's /v1/audio/speech, such as http://127.0.0.1:8880; "
        "unset: a render takes no text.",
    )
    tts_key: SecretStr | None = Field(None, description="API key of the text-to-speech server.")
    tts_model: str = Field("tts-1", description="Model that the text-to-speech server is asked for.")
    tts_voice: str = Field("alloy", description="Voice of a text whose request names none.")

    max_upload_bytes: int = Field(2 << 30, gt=0, description="Largest accepted upload, bytes.")
    max_video_seconds: float = Field(600.0, gt=0, description="Longest accepted avatar video, seconds.")
    max_audio_seconds: float = Field(3660.0, gt=0, description="Longest accepted audio, seconds.")
    max_pixels: int = Field(4096 * 2304, gt=0, description="Most pixels in a frame of an avatar video.")
    max_frames: int = Field(
        220_000, gt=0, description="Most frames of a render: by default an hour at 60 a second."
    )
    max_job_memory_bytes: int = Field(
        4 << 30,
        ge=64 << 20,
        description="Most memory that decoding and rendering may take beside the loaded model, bytes.",
    )
    max_queued: int = Field(64, ge=1, description="Most jobs waiting; one more is answered 503.")
    max_attempts: int = Field(3, ge=1, description="How often a job is tried if the render process dies.")
    stall_seconds: float = Field(
        60.0, gt=0, description="A job without progress for this long is stopped and tried again, seconds."
    )
    job_ttl: float = Field(
        86400.0, gt=0, description="A finished job and its files are kept this long, seconds."
    )
    implicit_avatar_ttl: float = Field(
        86400.0,
        gt=0,
        description="An avatar made of a video that came with a sound is kept this long after its last use, "
        "seconds.",
    )
    frame_cache_bytes: int = Field(
        20 << 30,
        gt=0,
        description="Budget of decoded frames over all avatars, bytes; the oldest are dropped.",
    )
    video_encoder: Literal["auto", "x264", "nvenc"] = Field(
        "auto", description="auto: NVENC beside a model on CUDA if a trial shows that it works, else x264."
    )
    encoder_threads: int = Field(0, ge=0, description="Threads of x264; 0: chosen from the cores.")

    log_format: Literal["console", "json"] = Field("console", description="Form of the log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    @property
    def first_device(self) -> str:
        """The device of what has but one model: the first of several."""
        return self.device.split(",")[0]

    @property
    def model_path(self) -> Path:
        """The model to load: the configured one, else the default of the models folder or of the package."""
        mine = self.models_dir / DEFAULT_MODEL
        return self.model or (mine if mine.exists() else bundled("models") / DEFAULT_MODEL)

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str | None) -> str | None:
        if value and not value.startswith(("postgresql://", "postgresql+psycopg://")):
            raise ValueError("must begin with postgresql://")
        return value or None

    @field_validator("tts_url", "webhook_url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value and not re.match(r"https?://[^/]", value):
            raise ValueError("must begin with http:// or https://")
        return value or None

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

    @field_validator("api_keys", "allowed_hosts", "cors_origins", "fetch", mode="before")
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
