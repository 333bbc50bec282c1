from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import InvalidRequest
from training.recipe import RECIPE
from training.settings import STAGES, StageName, load_settings


@pytest.mark.parametrize("stage", STAGES)
def test_the_shipped_recipe_holds_the_same_people_out_of_every_stage(stage: StageName) -> None:
    settings = load_settings(RECIPE, stage)
    assert "lrc_03" in settings.held_out.groups
    assert settings.held_out.every == {"grid_s1": 10}
    assert settings.steps == settings.samples // settings.batch


def test_a_stage_s_own_settings_go_before_the_common_ones(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("batch: 4\nseed: 7\nexpert: {batch: 6, set_weights: {a: 1}}\n")
    expert, wav2lip = load_settings(path, "expert"), load_settings(path, "wav2lip")
    assert (expert.batch, expert.seed, expert.set_weights) == (6, 7, {"a": 1.0})
    assert (wav2lip.batch, wav2lip.seed, wav2lip.set_weights) == (4, 7, {})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("colour: 1", "colour"),
        ("batch: many", "batch"),
        ("held_out: [a]", "held_out"),
        ("held_out: {groups: anna}", "held_out"),
        ("held_out: {groups: [1]}", "held_out"),
        ("held_out: {group: [anna]}", "held_out"),
        ("held_out: {every: {made: 0}}", "held_out"),
        ("batch: 6\nper_clip: 4", "multiple"),
        ("samples: 0", "batches"),
        ("precision: int8", "precision"),
        ("- a list", "mapping"),
        ("{", "YAML"),
        ("critic: 3", "critic"),
        ("critic: {colour: 3}", "colour"),
        ("views: {turn: far}", "turn"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InvalidRequest, match=word):
        load_settings(path, "wav2lip")


def test_tuned_numbers_that_a_recipe_leaves_out_are_the_shipped_ones(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("critic: {inside: 0.7}\nwav2lip: {views: {turn: 0.5}}\n")
    shipped, mine = load_settings(RECIPE, "wav2lip"), load_settings(path, "wav2lip")
    assert mine.critic == replace(shipped.critic, inside=0.7)
    assert mine.views == replace(shipped.views, turn=0.5)
    assert mine.looks == shipped.looks
