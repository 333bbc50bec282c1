"""JSON bodies and ``data:`` URIs: what they may hold, and that they take little memory."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest

from app.api.forms import FileField
from app.api.json_body import MAX_VALUES, JsonBody, Translate, data_of
from app.errors import InvalidRequest

AUDIO = FileField("audio", "The sound.")


def parse(body: bytes, folder: Path, translate: Translate | None = None) -> dict[str, str]:
    (folder / "body").write_bytes(body)
    reader = JsonBody([AUDIO], ("fps", "audio_url"), translate)
    reader.parse(folder / "body")
    return reader.result().fields


@pytest.mark.parametrize("piece", [b"[],", b"{},", b"0,", b'"a":1,'])
def test_a_body_of_countless_values_is_refused_unread(tmp_path: Path, piece: bytes) -> None:
    start, stop = (b"{", b"}") if b":" in piece else (b'{"fps":[', b"]}")
    with pytest.raises(InvalidRequest, match="values"):
        parse(start + piece * MAX_VALUES + piece.rstrip(b",") + stop, tmp_path)


def test_a_data_uri_of_other_letters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="ASCII"):
        parse('{"audio_url": "data:,ä"}'.encode(), tmp_path)


@pytest.mark.parametrize("depth", [600, 20_000])
@pytest.mark.parametrize("translate", [None, copy.deepcopy])
def test_a_body_that_is_nested_too_deeply_is_refused(
    tmp_path: Path, depth: int, translate: Translate | None
) -> None:
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        parse(b'{"x":' + b"[" * depth + b"]" * depth + b"}", tmp_path, translate)


def test_a_sign_is_no_digit(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="fps: the value is longer than 4096 bytes"):
        parse(b'{"fps": -%s}' % (b"9" * 4300), tmp_path)


@pytest.mark.parametrize("digits", [4301, 5000])
def test_a_number_of_countless_digits_is_told_so(tmp_path: Path, digits: int) -> None:
    with pytest.raises(InvalidRequest, match="A number in the body has more than 4300 digits"):
        parse(b'{"fps": %s}' % (b"9" * digits), tmp_path)


def test_half_a_character_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="half a character"):
        parse(rb'{"fps": "\ud800"}', tmp_path)


@pytest.mark.parametrize("shift", range(4))
def test_escapes_are_read_wherever_they_stand(shift: int) -> None:
    assert data_of("data:," + "x" * shift + "%41" * 100_000) == b"x" * shift + b"A" * 100_000
    assert data_of("data:;base64," + " " * shift + "QU\nJD" * 50_000) == b"ABC" * 50_000
    assert data_of("data:,%4") == b"%4"


def test_a_data_uri_of_escapes_takes_a_few_times_its_own_memory() -> None:
    script = (
        "from app.api.json_body import data_of\nfrom tests.support.memory import peak_mib\n"
        "address = 'data:,' + '%41' * 5_000_000\nbefore = peak_mib()\n"
        "data_of(address)\nprint(peak_mib() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert int(done.stdout) < 64
