import os
import re
from errno import EROFS
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.backend import make_backend
from app.doctor.files import volumes
from app.doctor.names import names
from app.errors import InvalidRequest
from app.jobs.files import DataFolder
from app.settings import PREFIX, Settings, unknown_settings
from app.volume import check_apart, check_folders


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize("name", ["model", "models_dir", "avatars_dir", "data_dir", "frames_dir"])
def test_an_empty_path_is_none_and_not_the_working_folder(folder: Path, name: str) -> None:
    (folder / ".env").write_text(f"MOUTHPIECE_{name.upper()}=\n")
    assert getattr(Settings(), name) == Settings.model_fields[name].default


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "1e999"])
@pytest.mark.parametrize("name", ["max_audio_seconds", "fetch_seconds", "stall_seconds"])
def test_a_limit_is_a_number(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"MOUTHPIECE_{name.upper()}", value)
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize("pauses", ["nan", "5,inf", "1e12", "5,-1"])
def test_a_pause_ends(monkeypatch: pytest.MonkeyPatch, pauses: str) -> None:
    monkeypatch.setenv("MOUTHPIECE_WEBHOOK_PAUSES", pauses)
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(
    "hosts",
    [
        "https://a.example",
        "a.example:8443",
        "10.0.0.7:8000",
        "a.example/",
        "*.example",
        "a b",
        "müller.example",
    ],
)
def test_a_host_that_no_request_can_have_is_refused(hosts: str) -> None:
    with pytest.raises(ValidationError, match="without scheme and port"):
        Settings(allowed_hosts=hosts)


def test_hosts_are_names_and_addresses() -> None:
    given = "video.example.org, Video_2, *, 10.0.0.7, ::1, [::1]"
    assert len(Settings(allowed_hosts=given).allowed_hosts) == 6


@pytest.mark.parametrize(
    "origins",
    [
        "https://a.example/",
        "https://a.example/app",
        "a.example",
        "https://A.example",
        "https://a.example:443",
        "http://a.example:80",
        "https://u:p@a.example",
        "https://*.example/",
    ],
)
def test_an_origin_that_no_page_can_have_is_refused(origins: str) -> None:
    with pytest.raises(ValidationError, match="as browsers send them"):
        Settings(cors_origins=origins)


def test_origins_are_those_that_browsers_send() -> None:
    given = "https://a.example, http://a.example:443, http://[::1]:3000, null, *, app://obsidian.md, file://"
    assert len(Settings(cors_origins=given).cors_origins) == 7


def test_a_name_that_is_no_setting_is_said_with_the_one_that_was_meant(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(unknown_settings()) == []
    (folder / ".env").write_text("MOUTHPIECE_API_KEY=secret\nMOUTHPIECE_PORT=8001\nOTHER=1\n")
    monkeypatch.setenv("MOUTHPIECE_ELEPHANTS", "9")
    monkeypatch.setenv("MOUTHPIECE_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("MOUTHPIECE_PORT_8000_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("MOUTHPIECE_HEAD_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("MOUTHPIECE_HTTP_PORT", "8000")
    assert dict(unknown_settings()) == {
        "MOUTHPIECE_API_KEY": "MOUTHPIECE_API_KEYS",
        "MOUTHPIECE_ELEPHANTS": "",
        "MOUTHPIECE_HTTP_PORT": "MOUTHPIECE_PORT",
    }
    found = list(names(Settings()))
    assert {each.level for each in found} == {"note"}
    assert [each.remedy for each in found] == [
        "set MOUTHPIECE_API_KEYS instead",
        "unset MOUTHPIECE_ELEPHANTS",
        "set MOUTHPIECE_PORT instead",
    ]
    assert "secret" not in "".join(each.found for each in found)


def test_the_address_of_a_broker_is_refused_wherever_it_stands(folder: Path) -> None:
    (folder / ".env").write_text("MOUTHPIECE_BROKER_URL=amqp://u:p@rabbit\n")
    with pytest.raises(InvalidRequest, match="RabbitMQ is no longer used"):
        make_backend(Settings(), DataFolder(folder), lambda _: None)
    (finding,) = names(Settings())
    assert finding.level == "problem"
    assert "RabbitMQ is no longer used" in finding.found


@pytest.mark.parametrize(
    "url",
    [
        "https://u:p@hooks.example/",
        "https://hooks.example:port/",
        "http://hooks.example:99999",
        "http://xn--/",
    ],
)
def test_a_webhook_that_could_reach_nobody_is_refused_at_the_start(folder: Path, url: str) -> None:
    with pytest.raises(InvalidRequest, match=r"MOUTHPIECE_WEBHOOK_URL: .*\.$"):
        make_backend(Settings(webhook_url=url), DataFolder(folder), lambda _: None)


@pytest.mark.parametrize("name", ["avatars_dir", "frames_dir"])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nope"])
def test_what_can_never_be_a_folder_is_refused_at_the_start(folder: Path, name: str, place: str) -> None:
    (folder / "file").touch()
    with pytest.raises(InvalidRequest, match=rf"MOUTHPIECE_{name.upper()}: .*is not a folder"):
        make_backend(Settings(**{name: Path(place)}), DataFolder(folder), lambda _: None)  # type: ignore[arg-type]


def test_a_volume_that_is_only_read_is_none_that_can_never_be_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    check_folders(Settings(frames_dir=folder / "frames"), "avatars_dir", "frames_dir")


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        ({"avatars_dir": "data/"}, "DATA_DIR and MOUTHPIECE_AVATARS_DIR both use"),
        ({"avatars_dir": "link"}, "DATA_DIR and MOUTHPIECE_AVATARS_DIR both use"),
        ({"avatars_dir": "data/jobs"}, "AVATARS_DIR lies in .*/data/jobs, where all is deleted"),
        ({"avatars_dir": "data/jobs/../jobs/avatars"}, "AVATARS_DIR lies in .*/data/jobs, where"),
        ({"frames_dir": "link/jobs/frames"}, "FRAMES_DIR lies in .*/data/jobs, where all is deleted"),
        ({"models_dir": "data/jobs/models"}, "MODELS_DIR lies in .*/data/jobs, where all is deleted"),
        ({"frames_dir": "link"}, "DATA_DIR and MOUTHPIECE_FRAMES_DIR both use"),
        ({"frames_dir": "data/../avatars"}, "AVATARS_DIR and MOUTHPIECE_FRAMES_DIR both use"),
        ({"data_dir": "avatars/data"}, "DATA_DIR lies in MOUTHPIECE_AVATARS_DIR"),
        ({"data_dir": "avatars/.old-data"}, "DATA_DIR lies in MOUTHPIECE_AVATARS_DIR"),
        ({"frames_dir": "avatars/frames"}, "FRAMES_DIR lies in MOUTHPIECE_AVATARS_DIR"),
        ({"models_dir": "avatars/models"}, "MODELS_DIR lies in MOUTHPIECE_AVATARS_DIR"),
    ],
)
def test_avatars_jobs_and_frames_have_a_folder_each(
    folder: Path, folders: dict[str, str], sentence: str
) -> None:
    (folder / "data").mkdir()
    (folder / "link").symlink_to("data")
    settings = Settings(**{name: Path(place) for name, place in folders.items()})  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=sentence):
        make_backend(settings, DataFolder(folder), lambda _: None)
    assert re.search(sentence, next(volumes(settings)).found)


def test_no_avatars_lie_where_a_link_leads_the_jobs(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "jobs").symlink_to("../volume")
    with pytest.raises(InvalidRequest, match="/volume, where all is deleted"):
        check_apart(Settings(avatars_dir=Path("volume/avatars")))


def test_folders_within_the_data_folder_are_apart(folder: Path) -> None:
    (folder / "avatars").mkdir()
    check_apart(Settings(avatars_dir=Path("data/avatars"), frames_dir=Path("data/frames")))
    check_apart(Settings(data_dir=Path("avatars/.data"), frames_dir=Path("avatars/.frames")))
    check_apart(Settings(frames_dir=Path("data/cache/frames"), models_dir=Path("data/models")))
