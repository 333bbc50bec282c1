import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.backend import make_backend
from app.doctor.names import names
from app.errors import InvalidRequest
from app.jobs.files import DataFolder
from app.settings import PREFIX, Settings, strays


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
    assert list(strays()) == []
    (folder / ".env").write_text("MOUTHPIECE_API_KEY=secret\nMOUTHPIECE_PORT=8001\nOTHER=1\n")
    monkeypatch.setenv("MOUTHPIECE_ELEPHANTS", "9")
    monkeypatch.setenv("MOUTHPIECE_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("MOUTHPIECE_PORT_8000_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("MOUTHPIECE_HEAD_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("MOUTHPIECE_HTTP_PORT", "8000")
    assert dict(strays()) == {
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
