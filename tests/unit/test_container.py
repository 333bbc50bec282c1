"""The container files, as far as they can be held true without a container engine."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from app.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# In an example, $NAME is a variable of the reader's shell.
VARIABLE = re.compile(r"(?<!\$)\bMOUTHPIECE_[A-Z0-9_]*[A-Z0-9]\b")
DESCRIBED = [
    "Dockerfile",
    "docker-compose.yml",
    "Makefile",
    "README.md",
    *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").glob("*.md"))),
]


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions and their arguments, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def arguments(name: str) -> list[str]:
    return [argument for instruction, argument in instructions() if instruction == name]


def environment() -> dict[str, str]:
    """Return what the image sets, over all of its stages."""
    pairs = [pair for argument in arguments("ENV") for pair in shlex.split(argument)]
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def context_sources() -> list[str]:
    """Return what the build copies from the source tree."""
    return [source for copy in arguments("COPY") if "--from" not in copy for source in copy.split()[:-1]]


def is_sent_to_builder(path: Path) -> bool:
    """Tell whether .dockerignore lets a file through, by the last line that matches it or a folder of it."""
    names = [str(name) for name in (path, *path.parents[:-1])]
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            glob = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(glob, name) for name in names):
                sent = line.startswith("!")
    return sent


def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parsed


def mounted_folders(service: dict[str, Any]) -> dict[str, bool]:
    """Return the folders that a service mounts, and whether it can write there."""
    short = [volume.split(":") for volume in service["volumes"] if isinstance(volume, str)]
    long = [volume for volume in service["volumes"] if isinstance(volume, dict)]
    return {target: True for _, target in short} | {
        volume["target"]: not volume.get("read_only", False) for volume in long
    }


def locked(name: str) -> dict[str, set[str]]:
    """Return the versions in a lock file; a package may have several, for different Pythons."""
    versions: dict[str, set[str]] = {}
    text = (ROOT / "requirements" / name).read_text()
    for package, version in re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", text, re.MULTILINE):
        versions.setdefault(package, set()).add(version)
    return versions


@contextmanager
def answering(status: int) -> Iterator[int]:
    """Answer every request with ``status``; give the port, and keep the paths out of the test's output."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/livez" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def health_check(port: int) -> int:
    """Run the image's own health check against a port; return its exit status."""
    program, *rest = json.loads(arguments("HEALTHCHECK")[0].partition("CMD ")[2])
    assert program == "python"
    variables = {"MOUTHPIECE_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, *rest], env=os.environ | variables, stderr=subprocess.DEVNULL
    ).returncode


@pytest.mark.parametrize("file", DESCRIBED)
def test_every_variable_that_is_named_is_a_setting(file: str) -> None:
    named = set(VARIABLE.findall((ROOT / file).read_text()))
    assert named <= {f"MOUTHPIECE_{field.upper()}" for field in Settings.model_fields}


def test_the_build_takes_only_what_exists_and_is_sent_to_the_builder() -> None:
    assert {"app", "pyproject.toml", "requirements/cuda.txt"} < set(context_sources())
    for source in context_sources():
        found = [path.relative_to(ROOT) for path in ROOT.glob(source)]
        assert found, f"{source} is not there"
        assert all(is_sent_to_builder(path) for path in found), f"{source} is ignored"


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", "avatars/anna/avatar.json", "models/wav2lip.pth", "app/__pycache__/cli.pyc"],
)
def test_secrets_and_bulk_are_not_sent_to_the_builder(path: str) -> None:
    assert not is_sent_to_builder(Path(path))


def test_the_image_has_a_python_that_the_project_allows_and_the_locks_were_made_for() -> None:
    version = re.fullmatch(r"PYTHON_IMAGE=python:([0-9.]+)-slim-\w+", arguments("ARG")[0])
    assert version
    assert version[1] in SpecifierSet(PROJECT["project"]["requires-python"])
    assert f"--python-version {version[1].rpartition('.')[0]} " in (ROOT / "requirements/lock").read_text()


def test_every_argument_of_the_build_is_described() -> None:
    page = (ROOT / "docs/deployment.md").read_text()
    table = page.partition("| build argument |")[2].partition("\n\n")[0]
    described = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert described == {argument.partition("=")[0] for argument in arguments("ARG")}


def test_the_labels_tell_the_version_and_the_commit_that_the_build_is_given() -> None:
    for name in ("VERSION", "REVISION"):
        assert f"{name}=unknown" in arguments("ARG")
        assert f'{name.lower()}="${{{name}}}"' in arguments("LABEL")[0]


def test_the_last_stage_is_the_cuda_image_and_every_image_runs_as_the_same_plain_user() -> None:
    stages = [stage.rpartition(" AS ")[2] for stage in arguments("FROM")]
    assert stages[-2:] == ["cpu", "cuda"]
    assert arguments("USER") == ["10001:10001"] * 2
    assert "useradd --uid 10001 --user-group " in " ".join(arguments("RUN"))


def test_the_health_check_passes_while_the_service_answers() -> None:
    with answering(200) as port:
        assert health_check(port) == 0


def test_the_health_check_fails_when_the_service_is_unwell_or_gone() -> None:
    with answering(503) as port:
        assert health_check(port) != 0
    assert health_check(port) != 0


def test_the_settings_of_the_image_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert (settings.host, settings.port) == ("0.0.0.0", int(arguments("EXPOSE")[0]))
    assert settings.data_dir.is_absolute()
    assert settings.avatars_dir.is_absolute()


@pytest.mark.parametrize("name", ["mouthpiece", "mouthpiece-cpu"])
def test_a_service_sets_real_settings_and_builds_a_stage_that_exists(name: str) -> None:
    service = compose()["services"][name]
    assert set(service["environment"]) <= {f"MOUTHPIECE_{field.upper()}" for field in Settings.model_fields}
    assert f"service AS {service['build']['target']}" in arguments("FROM")


@pytest.mark.parametrize("name", ["mouthpiece", "mouthpiece-cpu"])
def test_a_service_with_a_read_only_root_can_write_where_the_image_does(name: str) -> None:
    service, image = compose()["services"][name], environment()
    mounted = mounted_folders(service)
    assert service["read_only"]
    assert mounted == {
        image["MOUTHPIECE_MODELS_DIR"]: False,
        image["MOUTHPIECE_AVATARS_DIR"]: True,
        image["MOUTHPIECE_DATA_DIR"]: True,
    }


def test_only_the_service_without_a_profile_reserves_a_gpu() -> None:
    services = compose()["services"]
    assert "profiles" not in services["mouthpiece"]
    assert services["mouthpiece"]["deploy"]["resources"]["reservations"]["devices"]
    assert services["mouthpiece-cpu"]["profiles"] == ["cpu"]
    assert "deploy" not in services["mouthpiece-cpu"]


def test_the_cuda_image_has_one_opencv_and_all_libraries_that_onnxruntime_loads() -> None:
    cuda = locked("cuda.txt")
    assert {name for name in cuda if name.startswith("opencv")} == {"opencv-python-headless"}
    assert {"torch", "onnxruntime-gpu", "face-alignment", "nvidia-cudnn-cu13", "nvidia-curand"} <= cuda.keys()


def test_both_images_have_the_same_versions_of_what_they_share() -> None:
    cpu, cuda = locked("cpu.txt"), locked("cuda.txt")
    shared = cpu.keys() & cuda.keys()
    assert {"fastapi", "openvino", "av"} <= shared
    assert all(cuda[name] <= cpu[name] for name in shared)


@pytest.mark.parametrize("name", ["mouthpiece", "mouthpiece-cpu"])
def test_a_service_gets_what_stands_in_the_file_of_settings(name: str) -> None:
    """FORWARDED_ALLOW_IPS is no setting of ours, and docs/deployment.md says to put it there, too."""
    assert compose()["services"][name]["env_file"] == [{"path": ".env", "required": False}]
    assert "FORWARDED_ALLOW_IPS" not in compose()["services"][name]["environment"]


def test_the_example_of_a_proxy_passes_on_what_the_addresses_in_answers_are_made_of() -> None:
    example = (ROOT / "docs/deployment.md").read_text().partition("```nginx")[2].partition("```")[0]
    assert "proxy_set_header Host $host;" in example
    assert "proxy_set_header X-Forwarded-Proto $scheme;" in example
