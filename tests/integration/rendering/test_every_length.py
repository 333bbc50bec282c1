"""Each rule of length, each loop, common frame rates; sound shorter than the clip, as long, and longer."""

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from app.avatars.builder import AvatarBuilder
from app.media.limits import AudioLimits
from app.rendering.options import RenderOptions
from app.rendering.renderer import Renderer, RenderRequest
from app.rendering.timeline import Loop
from app.rendering.workspace import Workspace
from tests.support.avatars import no_progress
from tests.support.models import tiny_model
from tests.support.videos import decode

pytestmark = pytest.mark.slow

CLIP = Fraction("0.48")
SOUNDS = (Fraction("0.23"), CLIP, Fraction("1.01"))
RATES = (Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60))
RULES: dict[str, Callable[[Fraction], Fraction]] = {
    "audio": lambda sound: sound,
    "video": lambda sound: CLIP,
    "shortest": lambda sound: min(sound, CLIP),
    "longest": lambda sound: max(sound, CLIP),
}


@pytest.fixture(scope="module")
def quick(studio: AvatarBuilder, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """The renderer of a model whose mouths are as quick to make as can be."""
    model = tiny_model(tmp_path_factory.mktemp("quick"))
    return Renderer(model, studio.store, studio.cache, AudioLimits(60))


def test_every_rule_and_loop_is_tried() -> None:
    assert set(RULES) == set(get_args(get_type_hints(RenderOptions)["length"]))


@pytest.mark.parametrize("loop", get_args(Loop))
@pytest.mark.parametrize("length", RULES)
def test_pictures_and_sound_are_exactly_as_long_as_they_are_to_be(
    quick: Renderer, speech: Callable[[float], Path], tmp_path: Path, length: Any, loop: Any
) -> None:
    for fps, sound in product(RATES, SOUNDS):
        workspace = Workspace(tmp_path / f"{float(fps):.3f}-{float(sound)}")
        options = RenderOptions(length=length, loop=loop, fps=fps, quality="draft")
        quick.render(RenderRequest("anna", speech(float(sound)), options), workspace, no_progress)
        made, wanted = decode(workspace.result), RULES[length](sound)
        assert len(made.frames) == round(wanted * fps), (fps, sound)
        assert float(made.sound_end) == pytest.approx(float(wanted), abs=2 / 16000), (fps, sound)
        assert abs(made.video_end - wanted) <= 1 / fps
