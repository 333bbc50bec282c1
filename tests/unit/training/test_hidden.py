from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from app.errors import InvalidModel, InvalidRequest
from app.faces.hidden import CROP_SIZE
from app.media.frames import FrameLayout
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from tests.support.clips import portrait
from tests.support.faces import aligned_face, portrait_face
from training.hidden.faces import Footage
from training.hidden.fills import skin
from training.hidden.occluders import draw
from training.hidden.scenes import SceneMaker
from training.hidden.settings import HiddenSettings, load_hidden_settings
from training.hidden.smiles import painted_lips, smile_frames, smiling
from training.recipe import RECIPE

SETTINGS = load_hidden_settings(RECIPE)
BARE = replace(SETTINGS, covered=0.0, beards=0.0)
AS_FILMED = replace(
    SETTINGS,
    move=0,
    turn=0,
    zoom=0,
    beards=0.0,
    smiles=0.0,
    lipstick=0.0,
    gamma=(1, 1),
    gain=(1, 1),
    tint=0,
    pale=0,
    coloured=0,
    noise=0.02,
    spoilt=0,
    shadow=0,
    moving=0,
    shaded=0,
    dim=0,
)
RIGHT_CORNER, LEFT_CORNER, UPPER_LIP, LOWER_LIP, CHEEK, CHIN = 61, 291, 13, 14, 50, 200


def footage(name: str = "eileen", frames: int = 4) -> Footage:
    landmarks, _ = portrait_face()
    crop, points = aligned_face(portrait(), FrameLayout(512, 512), landmarks)
    return Footage(name, np.stack([crop] * frames), np.stack([points] * frames))


def shut_mouth(frames: int = 4) -> Footage:
    """The portrait with a lower lip that reaches the upper one."""
    smile = footage("shut", frames)
    points = smile.points.copy()
    points[:, list(LOWER_LIP_INNER)] = points[:, list(UPPER_LIP_INNER)]
    return Footage("shut", smile.faces, points)


@pytest.mark.parametrize("kind", sorted(SETTINGS.objects))
def test_things_of_every_kind_are_drawn_and_differ_from_each_other(kind: str) -> None:
    only = replace(SETTINGS, objects={kind: 1.0})
    rng = np.random.default_rng(0)
    things = [draw(rng, only, footage().faces, footage().faces) for _ in range(12)]
    areas = [float(thing.shape.mean()) for thing in things]
    assert 0.005 < np.mean(areas) < 0.7
    assert len(set(areas)) > 6
    for thing in things:
        assert set(np.unique(thing.shape)) <= {0, 1}
        assert thing.shown.shape == (CROP_SIZE, CROP_SIZE, 3)
        assert 0 <= thing.shown.min() <= thing.shown.max() <= 255


def test_hands_have_the_colour_of_skin() -> None:
    rng = np.random.default_rng(0)
    blue, _, red = np.mean([skin(rng, footage().faces).mean(axis=(0, 1)) for _ in range(20)], axis=0)
    assert red > blue + 20


@pytest.mark.parametrize(("own_skin", "blue"), [(1.0, False), (0.0, True)])
def test_hands_have_the_skin_of_the_face_or_of_others(own_skin: float, blue: bool) -> None:
    hands = replace(SETTINGS, objects={"hand": 1.0}, own_skin=own_skin)
    rng, own = np.random.default_rng(0), footage().faces
    for _ in range(8):
        hand = draw(rng, hands, own, own[..., ::-1])
        shown = hand.shown[hand.shape > 0].mean(axis=0)
        assert (shown[0] > shown[2] + 10) == blue


def test_nothing_is_hidden_where_nothing_is_drawn() -> None:
    maker, rng = SceneMaker([footage()], [], BARE), np.random.default_rng(0)
    assert all(not maker.draw(rng).hidden.any() for _ in range(8))
    bearded = SceneMaker([footage()], [], replace(BARE, beards=1.0))
    assert all(not bearded.draw(rng).hidden.any() for _ in range(8))


def test_gray_beards_are_lighter_than_dark_ones() -> None:
    def chin(gray: float) -> float:
        maker = SceneMaker([footage()], [], replace(AS_FILMED, covered=0, beards=1, gray_beards=gray))
        scenes = [maker.draw(np.random.default_rng(seed)) for seed in range(30)]
        places = [np.rint(scene.points[CHIN]).astype(int) for scene in scenes]
        return float(np.mean([s.picture[y, x].mean() for s, (x, y) in zip(scenes, places, strict=True)]))

    assert chin(1.0) > chin(0.0) + 10


def test_what_moves_is_blurred() -> None:
    bars = replace(AS_FILMED, covered=1, second_object=0, objects={"disc": 1}, fills={"plain": 1})

    def steepest(moving: float) -> float:
        maker = SceneMaker([footage()], [], replace(bars, moving=moving, motion=(12, 12)))
        pictures = [maker.draw(np.random.default_rng(seed)).picture.astype(int) for seed in range(12)]
        return float(
            np.mean([np.abs(np.diff(picture, axis=axis)).max() for picture in pictures for axis in (0, 1)])
        )

    assert steepest(1) < steepest(0)


def test_a_thin_thing_that_moves_hides_what_its_streak_shows() -> None:
    letters = replace(AS_FILMED, covered=1, second_object=0, objects={"text": 1})

    def hidden(moving: float) -> float:
        maker = SceneMaker([footage()], [], replace(letters, moving=moving, motion=(6, 6)))
        return float(np.mean([maker.draw(np.random.default_rng(seed)).hidden.sum() for seed in range(24)]))

    assert hidden(1) > hidden(0)


def test_what_is_drawn_changes_the_picture_where_it_is_hidden() -> None:
    covered = replace(AS_FILMED, covered=1.0, second_object=0.0)
    maker, person = SceneMaker([footage()], [], covered), footage()
    rng = np.random.default_rng(0)
    for _ in range(8):
        scene = maker.draw(rng)
        own = (person.faces[0], person.faces[0][:, ::-1])
        apart = min((np.abs(scene.picture.astype(int) - face).mean(axis=2) for face in own), key=np.mean)
        assert apart[scene.hidden == 0].mean() < apart[scene.hidden > 0].mean() / 2


def test_the_points_of_a_scene_lie_where_its_face_does() -> None:
    person = footage()
    maker, rng = SceneMaker([person], [], replace(AS_FILMED, covered=0.0)), np.random.default_rng(0)
    mirrored = set()
    for _ in range(12):
        scene = maker.draw(rng)
        mirrored.add(bool(scene.points[RIGHT_CORNER, 0] > scene.points[LEFT_CORNER, 0]))
        face, points = scene.picture, scene.points
        if scene.points[RIGHT_CORNER, 0] > scene.points[LEFT_CORNER, 0]:
            face, points = face[:, ::-1], (CROP_SIZE - 1, 0) - points * (1, -1)
        assert np.abs(face.astype(int) - person.faces[0]).max() <= 2
        assert points == pytest.approx(person.points[0], abs=1e-3)
    assert mirrored == {False, True}


def test_a_face_that_is_made_to_smile_has_a_wider_mouth_with_parted_lips() -> None:
    shut, rng = shut_mouth(), np.random.default_rng(0)
    face, points = shut.faces[0].astype(np.float32), shut.points[0]
    for _ in range(8):
        smile, moved = smiling(rng, face, points)
        assert np.ptp(moved[[RIGHT_CORNER, LEFT_CORNER], 0]) >= np.ptp(points[[RIGHT_CORNER, LEFT_CORNER], 0])
        assert moved[LOWER_LIP, 1] > moved[UPPER_LIP, 1] + 0.5
        changed = np.abs(smile - face).mean(axis=2)
        assert changed[30:44, 30:66].mean() > 2 * changed[:8].mean()


def test_frames_that_smile_are_found_by_their_meshes() -> None:
    both = Footage(
        "both",
        np.concatenate([footage().faces, shut_mouth().faces]),
        np.concatenate([footage().points, shut_mouth().points]),
    )
    assert smile_frames(both.points).tolist() == [0, 1, 2, 3]


def test_lipstick_is_painted_on_lips_alone() -> None:
    person, rng = footage(), np.random.default_rng(0)
    face, points = person.faces[0].astype(np.float32), person.points[0]
    changed = np.abs(painted_lips(rng, face, points) - face).mean(axis=2)
    row, column = np.rint((points[17] + points[LOWER_LIP])[::-1] / 2).astype(int)
    assert changed[row, column] > 3
    across, down = np.rint(points[CHEEK]).astype(int)
    assert changed[down, across] == 0


def test_a_pale_picture_is_brighter_and_has_less_colour() -> None:
    usual, pale = (
        SceneMaker([footage()], [], replace(AS_FILMED, covered=0.0, pale=share, haze=0.9)) for share in (0, 1)
    )
    drawn = [pale.draw(np.random.default_rng(index)).picture.astype(int) for index in range(6)]
    filmed = usual.draw(np.random.default_rng(0)).picture.astype(int)
    assert np.mean(drawn) > filmed.mean() + 20
    assert np.ptp(np.array(drawn), axis=-1).mean() < 0.8 * np.ptp(filmed, axis=-1).mean()


def test_settings_that_a_recipe_leaves_out_are_the_shipped_ones(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 1\n")
    assert load_hidden_settings(path) == SETTINGS
    path.write_text("hidden: {samples: 4, zoom: 1, blur: [1, 2], left_out: {anna: [0, 9]}}\n")
    mine = replace(SETTINGS, samples=4, zoom=1.0, blur=(1, 2), left_out={"anna": [0, 9]})
    assert load_hidden_settings(path) == mine


@pytest.mark.parametrize(
    "entry",
    [
        "colour: 1",
        "zoom: far",
        "blur: 3",
        "left_out: {anna: 3}",
        "left_out: 3",
        "batch: 0",
        "held_out_every: 1",
    ],
)
def test_a_setting_that_means_nothing_is_refused(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"hidden: {{{entry}}}\n")
    with pytest.raises(InvalidRequest, match=entry.partition(":")[0]):
        load_hidden_settings(path)


class TestWithTorch:
    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        pytest.importorskip("torch")
        pytest.importorskip("onnxscript")

    @staticmethod
    def settings() -> HiddenSettings:
        return replace(SETTINGS, samples=8, batch=4, held_out_every=2)

    def test_people_are_held_out_and_covered_frames_left_out(self) -> None:
        from training.hidden.train import split_people

        settings = replace(self.settings(), left_out={"b": [0, 1], "c": [0, 9]})
        people = split_people([footage(name) for name in "abcd"], [footage("e")], settings)
        assert [one.name for one in people.held_out] == ["a", "d", "e"]
        assert [(one.name, len(one.faces)) for one in people.filmed] == [("b", 2)]
        with pytest.raises(InvalidRequest, match="Fewer than two people"):
            split_people([footage()], [], settings)

    def test_a_run_is_trained_once_and_taken_up_where_it_was_left(self, tmp_path: Path) -> None:
        import torch

        from training.hidden.train import split_people, train_hidden

        people = split_people([footage("a"), footage("b")], [], self.settings())
        steps: list[int] = []
        first = train_hidden(people, self.settings(), tmp_path, lambda done, _: steps.append(done))
        again = train_hidden(people, self.settings(), tmp_path, lambda done, _: steps.append(done))
        longer = replace(self.settings(), samples=12)
        train_hidden(people, longer, tmp_path, lambda done, _: steps.append(done))
        assert steps == [1, 2, 3]
        with pytest.raises(InvalidRequest, match="leave --from out"):
            train_hidden(people, longer, tmp_path, start=tmp_path / "other.onnx")
        pairs = zip(first.state_dict().values(), again.state_dict().values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)

    @pytest.mark.slow
    def test_the_service_finds_what_the_written_network_finds(self, tmp_path: Path) -> None:
        import torch

        from app.faces.hidden import HiddenFinder
        from training.hidden.export import LARGEST_DIFFERENCE, export_hidden
        from training.hidden.judge import as_text, judge_hidden
        from training.hidden.train import as_tensors
        from training.hidden.written import take_up
        from training.networks.hidden_mouth import HiddenMouth

        torch.manual_seed(0)
        network = HiddenMouth().eval()
        assert sum(weights.numel() for weights in network.parameters()) < 200_000
        maker, rng = SceneMaker([footage()], [], SETTINGS), np.random.default_rng(0)
        path = tmp_path / "hidden.onnx"
        assert export_hidden(network, path, [maker.draw(rng) for _ in range(3)]) <= LARGEST_DIFFERENCE
        assert path.stat().st_size < 500_000
        figures = judge_hidden(HiddenFinder(path), [footage()], SETTINGS)
        assert 0 <= figures.bare <= figures.bare_p99 <= 1
        assert 0 <= figures.smiles <= 1
        assert "Overlap" in as_text(figures)
        taken_up, pictures = HiddenMouth(), as_tensors([maker.draw(rng) for _ in range(4)])[0]
        take_up(path, taken_up, pictures)
        with torch.inference_mode():
            apart = (taken_up.eval()(pictures).sigmoid() - network(pictures).sigmoid()).abs().max()
        assert apart < LARGEST_DIFFERENCE / 255

    def test_training_does_not_go_on_from_a_file_that_is_no_such_network(self, tmp_path: Path) -> None:
        import torch

        from training.hidden.written import take_up
        from training.networks.hidden_mouth import HiddenMouth

        path = tmp_path / "hidden.onnx"
        for content in (b"junk", b""):
            path.write_bytes(content)
            with pytest.raises(InvalidModel, match="is not a network of the stage 'hidden'"):
                take_up(path, HiddenMouth(), torch.zeros(1, 3, CROP_SIZE, CROP_SIZE))

    def test_what_it_cannot_start_from_is_refused_before_any_face_is_followed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from training.hidden import faces
        from training.hidden.cli import hidden

        monkeypatch.setattr(faces, "taught_footage", Mock(side_effect=AssertionError))
        video, start, output = (tmp_path / name for name in ("anna.mp4", "old.onnx", "new.onnx"))
        start.write_bytes(b"junk")
        with pytest.raises(InvalidModel, match="is not a network of the stage 'hidden'"):
            hidden([video], tmp_path / "runs", output, start=start)
        (tmp_path / "runs/hidden").mkdir(parents=True)
        (tmp_path / "runs/hidden/checkpoint.pt").touch()
        with pytest.raises(InvalidRequest, match="leave --from out"):
            hidden([video], tmp_path / "runs", output, start=start)
