import sys

import pytest

from benchmarks import soak


def test_too_few_renders_to_tell_growth_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["soak", "2"])
    with pytest.raises(SystemExit) as stop:
        soak.main()
    assert stop.value.code == 2
    assert "12 or more" in capsys.readouterr().err


def test_what_is_never_as_low_again_has_grown() -> None:
    seen = [soak.Held(k, 3, 20, 30, 100.0 + 30 * (k > 7)) for k in range(12)]
    assert soak.growth(seen) == [
        "megabytes: from [100.0, 100.0, 100.0, 100.0] to [130.0, 130.0, 130.0, 130.0]"
    ]
