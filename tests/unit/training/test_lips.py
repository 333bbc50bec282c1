from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.errors import InvalidRequest
from app.mouths.lips_apart import MOUTH_SIZE
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from tests.unit.training.test_hidden import footage
from training.hidden.faces import Footage
from training.lips.samples import Mouths, apart_by_mesh, frontal, mouths_of
from training.lips.settings import LipsSettings, load_lips_settings
from training.recipe import RECIPE

SETTINGS = load_lips_settings(RECIPE)
AS_FILMED = LipsSettings(
    zoom=0, turn=0, move=0, blurred=0, gamma=(1, 1), gain=(1, 1), tint=0, noise=0, pale=0
)


def shut(person: Footage) -> Footage:
    points = person.points.copy()
    points[:, list(LOWER_LIP_INNER)] = points[:, list(UPPER_LIP_INNER)]
    return Footage("shut", person.faces, points)


def turned(person: Footage) -> Footage:
    points = person.points.copy()
    points[:, 234, 0] = points[:, 1, 0] - 2
    return Footage("turned", person.faces, points)


def test_lips_part_as_far_as_their_mesh_says() -> None:
    smile = footage()
    assert apart_by_mesh(shut(smile).points) == pytest.approx(0)
    points = shut(smile).points.copy()
    points[:, list(LOWER_LIP_INNER)[1:-1], 1] += 4.8
    assert apart_by_mesh(points) == pytest.approx(10, abs=1e-4)


def test_turned_heads_do_not_teach() -> None:
    assert (frontal(footage().points) > SETTINGS.frontal).all()
    assert (frontal(turned(footage()).points) < SETTINGS.frontal).all()
    with pytest.raises(InvalidRequest, match="Nobody looks ahead"):
        Mouths([turned(footage())], AS_FILMED)
    mouths = Mouths([turned(footage("t")), shut(footage("s"))], AS_FILMED)
    assert mouths.draw(np.random.default_rng(0), 12)[1] == pytest.approx(0)


def test_mouths_are_drawn_as_the_service_cuts_them_or_mirrored() -> None:
    person = footage()
    filmed = mouths_of(person)[0]
    drawn, _ = Mouths([person], AS_FILMED).draw(np.random.default_rng(0), 8)
    assert drawn.shape == (8, MOUTH_SIZE[1], MOUTH_SIZE[0], 3)
    for mouth in drawn.astype(int):
        assert min(np.abs(mouth - side).max() for side in (filmed, filmed[:, ::-1])) <= 1
    altered, _ = Mouths([person], SETTINGS).draw(np.random.default_rng(0), 8)
    assert len({mouth.tobytes() for mouth in altered}) == 8


def test_who_is_filmed_four_times_as_long_is_drawn_twice_as_often() -> None:
    mouths = Mouths([footage("long", 16), shut(footage("short", 4))], AS_FILMED)
    apart = mouths.draw(np.random.default_rng(0), 3000)[1]
    assert (apart > 0).mean() == pytest.approx(2 / 3, abs=0.05)


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("lips: {colour: 1}\n")
    with pytest.raises(InvalidRequest, match="colour"):
        load_lips_settings(path)


class TestTraining:
    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        pytest.importorskip("torch")
        pytest.importorskip("onnxscript")

    def test_a_network_is_taught_written_and_judged(self, tmp_path: Path) -> None:
        from app.mouths.lips_apart import LipsApart
        from training.lips.train import LARGEST_DIFFERENCE, correlations, export_lips, train_lips

        settings = replace(SETTINGS, samples=32, batch=8)
        steps: list[int] = []
        people = [footage("parted"), shut(footage("shut"))]
        network = train_lips(people, settings, tmp_path, lambda done, _: steps.append(done))
        assert steps == [1, 2, 3, 4]
        path = tmp_path / "lips.onnx"
        assert export_lips(network, path, mouths_of(people[0])) <= LARGEST_DIFFERENCE
        assert path.stat().st_size < 250_000
        assert set(correlations(LipsApart(path), people)) == {"parted", "shut"}
