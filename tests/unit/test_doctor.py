import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.avatars.store import MANIFEST, AvatarStore
from app.doctor import _safely, files, machine, network
from app.doctor.finding import Finding
from app.settings import Settings
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.ports import free_port

CHECKPOINT = "wav2lip.pth"
EAR = "ear.onnx"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / EAR).with_suffix(".json").write_text('{"reference": "nearest"}')
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue Oct 1 10:16:15 UTC 2026\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (dvs-builder)\n",
    ],
    ids=["proprietary", "open"],
)
def test_the_version_of_both_kinds_of_driver_is_read(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tmp_path / "version"
    version.write_text(line + "GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n")
    monkeypatch.setattr(machine, "has_cuda_driver", lambda: True)
    monkeypatch.setattr(machine, "_DRIVER", version)
    assert machine._driver() == "driver 580.159.04"


@pytest.mark.parametrize(
    ("model", "device", "devices", "torch", "level"),
    [
        (EAR, "auto", 0, False, "good"),
        (EAR, "cuda", 1, False, "good"),
        (EAR, "cuda", 0, False, "problem"),
        (CHECKPOINT, "auto", 0, True, "note"),
        (CHECKPOINT, "cuda", 0, True, "problem"),
        (CHECKPOINT, "auto", 1, False, "note"),
        (CHECKPOINT, "cuda", 1, False, "problem"),
        (CHECKPOINT, "cuda", 1, True, "good"),
    ],
)
def test_cuda_is_a_problem_only_where_the_model_needs_it_and_it_is_asked_for(
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    device: str,
    devices: int,
    torch: bool,
    level: str,
) -> None:
    monkeypatch.setattr(machine, "cuda_devices", lambda: devices)
    monkeypatch.setattr(machine, "_lacks_torch", lambda: "" if torch else "torch is not installed")
    (found,) = machine.cuda(Settings(device=device, model=models / model))
    assert found.level == level
    assert ("mouthpiece[cuda]" in found.remedy) == (devices > 0 and level != "good")


@pytest.mark.parametrize(
    ("model", "halves", "level", "said"),
    [
        (EAR, True, "good", "supports bf16: this model runs in fp32"),
        (EAR, False, "good", "no bf16: this model runs in fp32"),
        (CHECKPOINT, True, "good", "supports bf16: the model can run twice as fast as in fp32"),
        (CHECKPOINT, False, "note", "no bf16: the model runs in fp32 and takes twice as long"),
    ],
)
def test_of_the_processor_it_is_said_what_the_model_does_with_it(
    models: Path, monkeypatch: pytest.MonkeyPatch, model: str, halves: bool, level: str, said: str
) -> None:
    properties = {"FULL_DEVICE_NAME": "A CPU", "OPTIMIZATION_CAPABILITIES": ["FP32", *["BF16"] * halves]}
    core = SimpleNamespace(get_property=lambda device, name: properties[name])
    monkeypatch.setattr("openvino.Core", lambda: core)
    (found,) = machine.processor(Settings(model=models / model))
    assert (found.level, found.found.split(" cores, ")[1]) == (level, said)


@pytest.mark.parametrize(("host", "place"), [("::1", "[::1]"), ("127.0.0.1", "127.0.0.1")])
def test_the_port_is_looked_at_where_the_service_would_listen(host: str, place: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        other = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"There is no {host} on this machine.")
    with other:
        port = other.getsockname()[1]
        (taken,) = network.port(Settings(host=host, port=port))
    (free,) = network.port(Settings(host=host, port=port))
    assert (taken.level, taken.found) == ("problem", f"{place}:{port}: Address already in use")
    assert (free.level, free.found) == ("good", f"{place}:{port} is free")


def test_an_avatar_that_is_damaged_or_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, store = Settings(avatars_dir=tmp_path), AvatarStore(tmp_path)
    assert list(files.avatars(Settings(avatars_dir=tmp_path / "none"))) == []
    for name in ("anna", "bob"):
        put_made_up(store, made_up_manifest(name))
    assert list(files.avatars(settings)) == []
    (tmp_path / "bob" / MANIFEST).write_text("{")
    (damaged,) = files.avatars(settings)
    assert (damaged.level, damaged.remedy) == ("note", "mouthpiece avatar rm bob")

    def access(path: Path, mode: int, **_: Any) -> bool:
        return path.name != MANIFEST or path.parent.name != "anna"

    monkeypatch.setattr(os, "access", access)
    (closed,) = files.avatars(settings)
    assert (closed.level, closed.found) == ("problem", f"{tmp_path}/anna/{MANIFEST} cannot be read")
    assert closed.remedy.startswith("sudo chown -R ")


def test_a_check_that_fails_of_something_unforeseen_is_a_finding_and_the_others_go_on() -> None:
    def surprised(settings: Settings) -> Iterator[Finding]:
        yield Finding("first", "good", "fine")
        raise RuntimeError("no processor")

    found = list(_safely(surprised, Settings()))
    assert [(each.subject, each.level) for each in found] == [("first", "good"), ("surprised", "problem")]
    assert found[1].found == "this could not be looked at: RuntimeError: no processor"


def test_a_database_that_does_not_answer_is_a_problem() -> None:
    pytest.importorskip("psycopg")
    url = f"postgresql://mouthpiece:secret@127.0.0.1:{free_port()}/jobs"
    (found,) = network.database(Settings(database_url=url))
    assert (found.level, "secret" in found.found) == ("problem", False)
    assert "cannot be used" in found.found
    assert list(network.database(Settings())) == []


@pytest.mark.parametrize(("mode", "remedy"), [("disabled", "unset RAY_AUTH_MODE"), ("token", "the head's")])
def test_a_worker_machine_is_told_of_the_heads_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str, remedy: str
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    (found,) = network.cluster(Settings(ray_address="10.0.0.5:6379"))
    assert (found.level, remedy in found.remedy) == ("problem", True)


def test_a_folder_of_its_own_for_decoded_frames_is_looked_at(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("avatars_dir", "data_dir", "frames_dir")}
    found = list(files.volumes(Settings(**folders, frame_cache_bytes=1 << 60)))  # type: ignore[arg-type]
    assert [each.subject for each in found] == ["avatars", "data", "frames"]
    assert "MOUTHPIECE_FRAME_CACHE_BYTES" in found[-1].remedy


@pytest.mark.parametrize(
    ("free", "said", "remedy"),
    [
        (3 << 30, "2.1 GB free", "a larger volume, or MOUTHPIECE_"),
        (1 << 29, "0.0 GB free", "a larger volume"),
    ],
)
def test_what_always_stays_free_is_not_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, said: str, remedy: str
) -> None:
    usage = SimpleNamespace(total=1 << 40, free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    settings = Settings(avatars_dir=tmp_path / "a", data_dir=tmp_path / "d", frame_cache_bytes=1 << 60)
    found = next(files.volumes(settings))
    assert said in found.found
    assert found.remedy.removesuffix(f"FRAME_CACHE_BYTES={(2 << 30) * 3 // 4}") == remedy


def test_frames_that_are_there_already_need_no_more_room(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("avatars_dir", "data_dir", "frames_dir")}
    folders["frames_dir"].mkdir()
    (folders["frames_dir"] / f"{'12' * 32}.i420").write_bytes(bytes(600))
    settings = Settings(**folders, frame_cache_bytes=1000)  # type: ignore[arg-type]
    assert files._appetite(settings, "frames") == 400


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_is_no_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    folders = {"avatars_dir": tmp_path / "avatars", "data_dir": tmp_path / "data"}
    found = list(files.volumes(Settings(**folders, frames_dir=tmp_path / place)))  # type: ignore[arg-type]
    assert (found[-1].level, found[-1].found) == ("problem", f"{tmp_path / 'file'} is not a folder")
