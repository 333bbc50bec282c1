from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from torch import Tensor  # noqa: E402

from app.audio.loudness import block_levels  # noqa: E402
from app.errors import InvalidModel, InvalidRequest, ModelNotFound  # noqa: E402
from app.media.sound import SPEECH_RATE, SpeechSamples  # noqa: E402
from app.mouths.ear import Ear  # noqa: E402
from app.mouths.points import SPEECH_POINTS  # noqa: E402
from app.mouths.space import SHAPE_DIMS  # noqa: E402
from tests.support.clips import speech_like  # noqa: E402
from tests.support.ears import sound_of  # noqa: E402
from tests.support.whispers import DIMS, write_encoder  # noqa: E402
from training.listen.bank import Bank, targets_of  # noqa: E402
from training.listen.export import export_listen  # noqa: E402
from training.listen.features import Features, quiet_features, served_rows, talk_features  # noqa: E402
from training.listen.judge import judged, none_held_out  # noqa: E402
from training.listen.kept import KeptFeatures  # noqa: E402
from training.listen.lags import find_lag  # noqa: E402
from training.listen.learn import head_loss, hear_grid, heard_at, make_head, train_head  # noqa: E402
from training.listen.quiet import kinds_of_quiet, quiet_of  # noqa: E402
from training.listen.settings import ListenSettings, load_listen_settings  # noqa: E402
from training.listen.sounds import revoiced  # noqa: E402
from training.listen.stage import Sources, Taught, load_taught, save_taught, train_listen  # noqa: E402
from training.listen.talks import Talk  # noqa: E402
from training.listen.truth import Manner, manner_of, openings_of, shapes_of  # noqa: E402
from training.networks.ear import AFTER, BEFORE, OPENING, OUTPUTS, SHAPES, SPEECH, Listener  # noqa: E402
from training.networks.openai_whisper import convert_encoder  # noqa: E402
from training.networks.whisper import WhisperEncoder, load_encoder  # noqa: E402
from training.recipe import RECIPE  # noqa: E402
from training.settings import load_settings  # noqa: E402
from training.split import HeldOut  # noqa: E402

SMALL = ListenSettings(
    layers=(1,), past=10, piece=20, ahead=12, clips=2, per_clip=4, stretch=8, samples=160, silent_sounds=13
)
POINTS = 2 * len(SPEECH_POINTS)


def _mouths(openings: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([np.outer(openings, rng.standard_normal(POINTS)), openings, openings, openings])


def _talk(openings: np.ndarray[tuple[int], np.dtype[np.float64]], name: str = "one") -> Talk:
    times = np.arange(len(openings)) / 25
    samples = speech_like(len(openings) / 25)
    return Talk(name, name, "made", times, _mouths(openings), np.ones(len(openings), bool), samples)


@pytest.fixture
def encoder(tmp_path: Path) -> WhisperEncoder:
    return load_encoder(write_encoder(tmp_path / "encoder.npz"), [1])


def test_the_resting_mouth_is_the_median_of_those_that_are_hardly_open() -> None:
    openings = np.concatenate([np.full(50, 0.1), np.linspace(0.1, 0.5, 51), [2.0]])
    mouths = _mouths(openings)
    manner = manner_of([mouths[:60], mouths[60:]])
    assert manner.rest[-1] == pytest.approx(0.1, abs=0.01)
    assert manner.span == pytest.approx(np.percentile(openings, 95) - np.percentile(openings, 5))


def test_openings_are_told_in_the_persons_own_range() -> None:
    mouths = _mouths(np.linspace(0, 0.4, 101))
    one, twice = (openings_of(k * mouths, manner_of([k * mouths])) for k in (1.0, 2.0))
    np.testing.assert_allclose(one, twice, atol=1e-6)
    assert one.max() == pytest.approx(1.05, abs=0.1)


def test_shapes_are_those_of_somebody_with_the_average_range() -> None:
    mouths = _mouths(np.linspace(0, 0.1, 101))
    shapes = shapes_of(mouths, manner_of([mouths]), 0.2)
    doubled = shapes_of(2 * mouths, manner_of([2 * mouths]), 0.2)
    np.testing.assert_allclose(shapes[:, :6], doubled[:, :6], atol=1e-4)
    assert shapes.shape == (101, SHAPE_DIMS)


def test_what_the_ear_hears_is_what_training_heard(tmp_path: Path, encoder: WhisperEncoder) -> None:
    heads = [make_head(SMALL, DIMS).eval() for _ in range(2)]
    result = export_listen(Taught(heads, 0.2, {}, encoder.sha256), encoder, SMALL, tmp_path / "ear.onnx")
    assert result.difference < 0.01
    samples = speech_like(2.0)
    grid = hear_grid(heads, served_rows(samples, encoder, SMALL), 0, 90)
    times = np.arange(40) / 25
    heard = Ear(result.path).hear(sound_of(tmp_path / "speech", samples), times)
    grid[:, SPEECH] = 1 / (1 + np.exp(-grid[:, SPEECH]))
    grid[:, :SPEECH] *= grid[:, SPEECH:]
    np.testing.assert_allclose(heard.opening, heard_at(grid, times)[:, OPENING], atol=0.02)
    np.testing.assert_allclose(heard.shapes, heard_at(grid, times)[:, SHAPES], atol=0.02)
    assert Ear(result.path).average_range == 0.2


def test_an_ear_that_hears_nan_is_not_written(tmp_path: Path, encoder: WhisperEncoder) -> None:
    head = make_head(SMALL, DIMS).eval()
    torch.nn.init.constant_(head.answer.bias, float("nan"))
    with pytest.raises(InvalidModel, match="was not written"):
        export_listen(Taught([head], 0.2, {}, encoder.sha256), encoder, SMALL, tmp_path / "ear.onnx")
    assert not list(tmp_path.glob("*.onnx"))


def test_heads_are_not_exported_on_another_encoder(tmp_path: Path, encoder: WhisperEncoder) -> None:
    taught = Taught([make_head(SMALL, DIMS).eval()], 0.2, {}, "that of another")
    with pytest.raises(InvalidModel, match="taught with the encoder"):
        export_listen(taught, encoder, SMALL, tmp_path / "ear.onnx")
    assert not list(tmp_path.glob("*.onnx"))


def test_a_listener_answers_for_the_piece_in_the_middle(encoder: WhisperEncoder) -> None:
    listener = Listener(encoder, [make_head(SMALL, DIMS)], past=10, piece=20).eval()
    mel = torch.randn(2, 80, 84)
    heard = listener(mel)
    assert heard.shape == (2, 20, OUTPUTS)
    assert ((heard[..., SPEECH] > 0) & (heard[..., SPEECH] < 1)).all()


def test_without_speech_a_mouth_is_at_rest_and_with_it_does_what_is_heard(encoder: WhisperEncoder) -> None:
    head = make_head(SMALL, DIMS).eval()
    torch.nn.init.zeros_(head.answer.weight)
    mel = torch.randn(1, 80, 84)
    for sure, share in ((0.2, 0.0), (0.55, 0.5), (0.9, 1.0)):
        with torch.no_grad():
            head.answer.bias.fill_(2.0)
            head.answer.bias[SPEECH] = float(np.log(sure / (1 - sure)))
        listener = Listener(encoder, [head], past=10, piece=20, speech_from=0.3, speech_to=0.8).eval()
        heard = listener(mel)
        torch.testing.assert_close(heard[..., SPEECH], torch.full((1, 20), share))
        torch.testing.assert_close(heard[..., OPENING], torch.full((1, 20), 2 * share))


def test_a_head_looks_no_further_than_its_reach() -> None:
    head, rows = make_head(SMALL, DIMS).eval(), torch.randn(1, 40, DIMS)
    changed = rows.clone()
    changed[:, 25 + AFTER + 1 :] = 0
    changed[:, : 25 - BEFORE] = 0
    row = 25 - BEFORE
    torch.testing.assert_close(head(changed)[:, row], head(rows)[:, row])
    assert not torch.equal(head(changed)[:, row + 1], head(rows)[:, row + 1])


def test_the_rows_of_a_copy_belong_to_the_times_of_the_sound(encoder: WhisperEncoder) -> None:
    talks = [_talk(np.linspace(0, 1, 30))]
    plain, copy = (talk_features(talks, encoder, SMALL, number) for number in (0, 1))
    assert plain.speed[0] == 1
    assert copy.speed[0] != 1
    np.testing.assert_array_equal(plain.places(0, np.array([0.0, 0.5])) - plain.zero[0], [0, 25])
    assert len(plain.rows) == BEFORE + 60 + AFTER + 1


def test_the_loss_is_least_for_the_truth() -> None:
    torch.manual_seed(0)
    wanted = torch.randn(9, OUTPUTS)
    wanted[:, SPEECH] = torch.tensor([1.0, 1, 1, 1, float("nan"), 1, 1, 1, 0])
    right = wanted.clone()
    right[:, SPEECH] = torch.where(wanted[:, SPEECH] > 0.5, 20.0, -20.0)
    wrong = right.clone().requires_grad_()
    with torch.no_grad():
        wrong[:, OPENING] *= -1
    loss = head_loss(wrong, wanted, SMALL)
    loss.backward()
    assert head_loss(right, wanted, SMALL) < 0.01 < loss
    assert torch.isfinite(wrong.grad).all()


def test_the_loss_of_the_correlation_is_that_within_a_clip() -> None:
    alone = replace(SMALL, distance_weight=0, shape_weight=0, shape_correlation_weight=0, speech_weight=0)
    wanted = torch.randn(8, OUTPUTS)
    moved = wanted.clone()
    moved[:4, OPENING] = 3 * moved[:4, OPENING] + 5
    assert head_loss(moved, wanted, alone) < 0.01


def test_features_are_kept_for_the_same_sounds_and_the_same_encoder(
    tmp_path: Path, encoder: WhisperEncoder
) -> None:
    talk, kept = _talk(np.linspace(0, 1, 30)), tmp_path / "kept"
    hum = np.full(SPEECH_RATE, 0.1, np.float32)
    other = load_encoder(write_encoder(tmp_path / "other.npz", layers=3), [1])

    def made(talk: Talk, encoder: WhisperEncoder, quiet: SpeechSamples) -> int:
        before = len(list(kept.glob("*")))
        features = KeptFeatures(kept, [talk], encoder, SMALL)
        features.copy(0, lambda done, of: None)
        features.quiet([quiet])
        return len(list(kept.glob("*"))) - before

    assert made(talk, encoder, hum) == 2
    assert made(talk, encoder, hum) == 0
    assert made(talk, encoder, -hum) == 1
    assert made(talk, other, hum) == 2
    assert made(replace(talk, samples=-talk.samples), encoder, hum) == 2


def _bank(talks: list[Talk], features: Features, quiet: Features, manner: Manner) -> Bank:
    return Bank(talks, range(len(talks)), {"one": manner}, 0.3, [features], quiet, SMALL)


def test_heads_learn_what_the_sound_tells(encoder: WhisperEncoder) -> None:
    loud = np.abs(np.sin(np.arange(75) / 5))
    talk = _talk(loud)
    envelope = np.interp(np.arange(len(talk.samples)) / SPEECH_RATE, talk.times, loud)
    talk = replace(talk, samples=(talk.samples * envelope).astype(np.float32))
    settings = replace(SMALL, samples=1600, drop=0.0, drop_input=0.0)
    features, quiet = talk_features([talk], encoder, settings, 0), quiet_features(encoder, settings)
    bank = Bank([talk], [0], {"one": manner_of([talk.mouths])}, 0.3, [features], quiet, settings)
    heard = heard_at(hear_grid([train_head(bank, settings, 0)], features, 0, 150), talk.times)
    assert np.corrcoef(heard[5:60, OPENING], loud[5:60])[0, 1] > 0.8


@pytest.mark.parametrize("people", [1, 2])
def test_the_lags_of_few_people_stay_as_they_are_known(
    tmp_path: Path, encoder: WhisperEncoder, people: int
) -> None:
    openings = np.abs(np.sin(np.arange(60) / 5))
    sources = Sources([_talk(openings, name) for name in ("one", "two")[:people]], [], encoder)
    settings = replace(SMALL, heads=1, fold_heads=1, copies=1, least_range=0.0)
    for folds in (1, 3):
        taught = train_listen(sources, replace(settings, folds=folds), tmp_path, lambda *_: None)
        assert (len(taught.heads), taught.encoder) == (1, encoder.sha256)


def test_clips_that_are_too_short_to_learn_from_are_refused(tmp_path: Path, encoder: WhisperEncoder) -> None:
    sources = Sources([_talk(np.array([0.0, 1.0, 0.0]))], [], encoder)
    settings = replace(SMALL, copies=1, least_range=0.0)
    with pytest.raises(InvalidRequest, match="None of the 1 clips shows a mouth in 4 frames"):
        train_listen(sources, settings, tmp_path, lambda *_: None)


def test_one_seed_makes_one_head(encoder: WhisperEncoder) -> None:
    talk = _talk(np.linspace(0, 1, 50))
    features, quiet = talk_features([talk], encoder, SMALL, 0), quiet_features(encoder, SMALL)
    bank = _bank([talk], features, quiet, manner_of([talk.mouths]))
    one, same, other = (train_head(bank, SMALL, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["answer.weight"], other["answer.weight"])


def test_a_batch_ends_with_silences_that_mean_rest(encoder: WhisperEncoder) -> None:
    talk = _talk(np.linspace(0, 1, 50))
    features, quiet = talk_features([talk], encoder, SMALL, 0), quiet_features(encoder, SMALL)
    draw = _bank([talk], features, quiet, manner_of([talk.mouths])).draw(np.random.default_rng(0))
    assert draw.features.shape == (9, BEFORE + 1 + AFTER, DIMS)
    assert (draw.targets[8:] == 0).all()
    assert (draw.targets[:8, OPENING] != 0).any()


def test_speech_is_where_it_is_loud_and_unknown_elsewhere() -> None:
    talk = _talk(np.linspace(0, 1, 50))
    samples = talk.samples.copy()
    samples[: SPEECH_RATE // 2] = 0
    targets = targets_of(replace(talk, samples=samples), manner_of([talk.mouths]), 0.3)
    assert np.isnan(targets[:10, SPEECH]).all()
    assert np.nanmin(targets[20:, SPEECH]) == 1


@pytest.mark.parametrize("late", [-0.08, 0.0, 0.06])
def test_a_files_lag_is_found(late: float) -> None:
    rng = np.random.default_rng(0)
    grid = np.zeros((200, OUTPUTS), np.float32)
    grid[:, OPENING] = np.convolve(rng.standard_normal(200), np.ones(5) / 5, "same")
    talk = _talk(heard_at(grid, np.arange(90) / 25 + 0.2 + late)[:, OPENING].astype(np.float64))
    lag = find_lag([talk.shifted(0.2)], [grid], 0.02)
    assert lag.seconds == pytest.approx(late, abs=0.011)
    assert lag.correlation > 0.95


@pytest.mark.parametrize("kind", kinds_of_quiet())
def test_quiet_sounds_are_finite_and_not_too_loud(kind: str) -> None:
    for seed in range(5):
        wave = quiet_of(kind, np.random.default_rng(seed), SPEECH_RATE)
        assert wave.shape == (SPEECH_RATE,)
        assert np.isfinite(wave).all()
        assert np.sqrt(np.square(wave).mean()) < 0.3


def test_a_voice_that_is_changed_keeps_its_length_and_its_words() -> None:
    samples = speech_like(2.0)
    changed = [revoiced(samples, np.random.default_rng(seed)) for seed in range(8)]
    assert all(len(one) == len(samples) and np.isfinite(one).all() for one in changed)
    levels = block_levels(samples)
    alike = [np.corrcoef(levels, block_levels(one))[0, 1] for one in changed]
    assert np.median(alike) > 0.5
    assert max(alike) < 1


def test_a_file_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no encoder"):
        load_encoder(tmp_path / "none.npz", [1])
    with pytest.raises(InvalidModel, match="3 layers"):
        load_encoder(write_encoder(tmp_path / "encoder.npz"), [1, 3])
    (tmp_path / "other.npz").write_bytes(b"other")
    with pytest.raises(InvalidModel, match="does not hold"):
        load_encoder(tmp_path / "other.npz", [1])


def _openai_state(layers: int) -> dict[str, Tensor]:
    """Return random weights named as in OpenAI's checkpoints."""
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (DIMS, 80, 3),
        "conv2.weight": (DIMS, DIMS, 3),
        "ln_post.weight": (DIMS,),
    }
    for layer in range(layers):
        block = f"blocks.{layer}."
        shapes |= {f"{block}{norm}.weight": (DIMS,) for norm in ("attn_ln", "mlp_ln")}
        shapes |= {f"{block}attn.{part}.weight": (DIMS, DIMS) for part in ("query", "key", "value", "out")}
        shapes |= {f"{block}mlp.0.weight": (4 * DIMS, DIMS), f"{block}mlp.2.weight": (DIMS, 4 * DIMS)}
    biases = {
        name.replace("weight", "bias"): shape[:1] for name, shape in shapes.items() if "key" not in name
    }
    every = shapes | biases | {"positional_embedding": (1500, DIMS)}
    state = {f"encoder.{name}": torch.randn(shape).half() for name, shape in every.items()}
    return state | {"decoder.positional_embedding": torch.zeros(2)}


def test_an_encoder_is_taken_out_of_a_checkpoint_of_openai_s(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = _openai_state(2)
    torch.save({"dims": {"n_mels": 80}, "model_state_dict": state}, tmp_path / "tiny.en.pt")
    convert_encoder(tmp_path / "tiny.en.pt", tmp_path / "new" / "encoder.npz")
    encoder = load_encoder(tmp_path / "new" / "encoder.npz", [1, 2])
    given = {name.removeprefix("encoder."): weights.float() for name, weights in state.items()}
    assert torch.equal(encoder.positions, given["positional_embedding"])
    assert torch.equal(encoder.conv2.bias, given["conv2.bias"])
    rows = torch.randn(3, DIMS)
    for number, layer in enumerate(encoder.layers):
        block = f"blocks.{number}."
        thirds = torch.as_tensor(layer.get_submodule("qkv")(rows)).split(DIMS, 1)
        for made, part in zip(thirds, ("query", "key", "value"), strict=True):
            bias = given.get(f"{block}attn.{part}.bias", torch.zeros(DIMS))
            torch.testing.assert_close(made, rows @ given[f"{block}attn.{part}.weight"].T + bias)
        parts = {"attn_ln": "norm_attention", "mlp_ln": "norm_feed", "attn.out": "out", "mlp.0": "up"}
        for name, own in (parts | {"mlp.2": "down"}).items():
            for kind in ("weight", "bias"):
                assert torch.equal(layer.state_dict()[f"{own}.{kind}"], given[f"{block}{name}.{kind}"])


def test_what_is_no_checkpoint_of_whisper_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no checkpoint"):
        convert_encoder(tmp_path / "none.pt", tmp_path / "encoder.npz")
    headless = {name: array for name, array in _openai_state(1).items() if ".blocks." not in name}
    for state in ({"encoder.conv1.weight": torch.ones(1)}, headless):
        torch.save({"model_state_dict": state}, tmp_path / "other.pt")
        with pytest.raises(InvalidModel, match=r"give OpenAI's tiny\.en\.pt"):
            convert_encoder(tmp_path / "other.pt", tmp_path / "encoder.npz")
    assert not (tmp_path / "encoder.npz").exists()


def test_folders_of_which_the_recipe_holds_out_nobody_are_told(tmp_path: Path) -> None:
    for folder in ("known", "new"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.mp4").touch()
    settings = replace(SMALL, held_out=HeldOut(groups=["new"]))
    assert none_held_out([tmp_path / "known", tmp_path / "new"], settings) == [tmp_path / "known"]


def test_people_of_whom_nobody_talks_are_no_report() -> None:
    still = _talk(np.full(50, 0.1))
    with pytest.raises(InvalidRequest, match="None of the 1 clips shows somebody who talks"):
        judged(Mock(Ear), [still], SMALL, lambda *_: None)


@pytest.mark.parametrize("missing", ["data", "encoder"])
def test_heads_that_do_not_say_what_they_were_taught_with_are_refused(tmp_path: Path, missing: str) -> None:
    path = save_taught(Taught([make_head(SMALL, DIMS)], 0.2, {"made": {"clips": 1}}, "ab12"), tmp_path)
    taught = load_taught(SMALL, tmp_path)
    assert (taught.data, taught.encoder) == ({"made": {"clips": 1}}, "ab12")
    content = torch.load(path, weights_only=True)
    del content[missing]
    torch.save(content, path)
    with pytest.raises(InvalidModel, match="teach them again"):
        load_taught(SMALL, tmp_path)


def test_the_recipe_has_the_settings_of_the_ear(tmp_path: Path) -> None:
    settings = load_listen_settings(RECIPE)
    assert "lrc_03" in settings.held_out.groups
    assert settings.held_out == load_settings(RECIPE, "expert").held_out
    assert settings.licence == "evaluation and research only"
    for text in ("listen: {headz: 3}", "listen: {heads: many}", "- listen", "listen: ["):
        (tmp_path / "odd.yaml").write_text(text)
        with pytest.raises(InvalidRequest, match="recipe"):
            load_listen_settings(tmp_path / "odd.yaml")
