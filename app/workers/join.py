"""How a machine joins or starts a Ray cluster: a thin layer over ``ray start``."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from app.errors import EngineUnavailable, InvalidRequest
from app.extras import install_command
from app.settings import Settings
from app.volume import check_folders
from app.wav2lip.devices import cuda_devices

STORE_BYTES: Final = 80 << 20
"""Ray's store of objects, in shared memory: nothing but small messages goes through it."""

RAY: Final = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
"""What Ray reads of the environment as soon as it is imported."""

HEALTH: Final = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_health_check_initial_delay_ms": "5000",
}
"""A machine that is silent for some 6 s is lost. Read by the head when it starts."""


def check_token() -> None:
    """Raise ``InvalidRequest`` unless calls on the cluster are authenticated: it runs what it is sent."""
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        raise InvalidRequest(
            "RAY_AUTH_MODE must be token: without a token, anyone can run code on the cluster."
        )
    files = [os.environ.get("RAY_AUTH_TOKEN_PATH"), str(Path.home() / ".ray" / "auth_token")]
    if not os.environ.get("RAY_AUTH_TOKEN") and not any(name and Path(name).is_file() for name in files):
        raise InvalidRequest(
            "A Ray cluster needs a token: set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file, to the same "
            "long secret on all machines; 'openssl rand -hex 32' makes one."
        )


def start_head(settings: Settings) -> None:
    """Be the head of a cluster until one of Ray's processes is gone; this machine does no work for it."""
    _, port = settings.ray_head
    _run("--head", f"--port={port}", "--num-cpus=0", "--num-gpus=0", "--include-dashboard=false", "--block")


def join(settings: Settings) -> None:
    """Give this machine's devices to the cluster until it is told to stop or the head is gone."""
    _ = settings.ray_head  # raises if there is none
    check_folders(settings, "frames_dir")
    gpus = 0 if settings.device == "cpu" else cuda_devices()
    cpus = 0 if gpus or settings.device.startswith("cuda") else settings.workers
    _run(f"--address={settings.ray_address}", f"--num-gpus={gpus}", f"--num-cpus={cpus}", "--block")


def _run(*options: str) -> None:
    """Become ``ray start``."""
    check_token()
    beside = Path(sys.executable).with_name("ray")
    program = str(beside) if beside.exists() else shutil.which("ray")
    if program is None:
        raise EngineUnavailable(
            f"A cluster needs the extra 'cluster': run `{install_command('mouthpiece[cluster]')}`."
        )
    environment = HEALTH | os.environ | RAY
    command = [program, "start", *options, f"--object-store-memory={STORE_BYTES}", "--disable-usage-stats"]
    os.execve(program, command, environment)  # noqa: S606 - no shell, and no caller's text
