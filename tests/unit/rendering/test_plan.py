"""The plan of a render: fragments of equal plans are interchangeable, and of no others."""

from dataclasses import replace
from pathlib import Path

from app import __version__
from app.rendering.plan import Plan

PLAN = Plan("anna", "2026-11-30T12:00:00+00:00", "ab", "libx264", {"quality": "standard"}, "25", 50, 3)


def test_what_another_release_has_begun_is_begun_again(tmp_path: Path) -> None:
    replace(PLAN, version="0.1.0").write(tmp_path / "plan.json")
    assert not PLAN.is_at(tmp_path / "plan.json")
    PLAN.write(tmp_path / "plan.json")
    assert PLAN.is_at(tmp_path / "plan.json")
    assert PLAN.version == __version__
