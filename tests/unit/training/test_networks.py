import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

from training.networks.critic import PatchCritic  # noqa: E402
from training.networks.mouthpiece import (  # noqa: E402
    CRISP,
    DARKEST_SHADE,
    LIGHTEST_SHADE,
    PAINTED_DIMS,
    PRESS,
    TEETH_GAINS,
    Articulation,
    Mouthpiece,
    Shades,
    ShapeToFace,
    SpeechToShape,
    Strokes,
    _cubic,
    _softened,
)
from training.networks.sync_expert import SyncExpert, contrast  # noqa: E402


def model() -> Mouthpiece:
    torch.manual_seed(0)
    made = Mouthpiece(
        SpeechToShape(), ShapeToFace(), Articulation(torch.ones(8), 1.0, 0.5), Shades(torch.zeros(128), -1.0)
    )
    made.eval()
    return made


def test_the_model_has_wav2lip_s_interface_and_copies_the_upper_rows() -> None:
    face = torch.rand(2, 6, 96, 96)
    with torch.no_grad():
        made = model()(torch.randn(2, 1, 80, 16), face)
    assert made.shape == (2, 3, 96, 96)
    assert torch.equal(made[:, :, :40], face[:, :3, :40])
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize("times", [2, 3])
def test_a_larger_face_is_painted_as_a_small_one_at_its_own_size(times: int) -> None:
    network = model()
    mel, face = torch.randn(2, 1, 80, 16), torch.rand(2, 6, 96, 96)
    large = functional.interpolate(face, scale_factor=times, mode="bilinear")
    with torch.no_grad():
        small, made = network(mel, face), network(mel, large)
    assert made.shape == (2, 3, 96 * times, 96 * times)
    assert torch.equal(made[:, :, : 40 * times], large[:, :3, : 40 * times])
    shrunk = functional.avg_pool2d(large[:, :3], times)
    assert (functional.avg_pool2d(made, times) - small)[:, :, 50:].abs().mean() < 2 * (
        shrunk - face[:, :3]
    ).abs().mean()


def test_an_inner_mouth_may_keep_what_the_reference_shows_there() -> None:
    network = ShapeToFace().eval()
    for layer in (network.coarse_flow, network.fine_flow, network.residual):
        torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(network.mouth_paint.bias[12:], 30.0)
    face = torch.rand(1, 6, 96, 96)
    with torch.no_grad():
        painted = network(torch.zeros(1, PAINTED_DIMS), face)
        torch.nn.init.constant_(network.mouth_keep.bias, 30.0)
        kept = network(torch.zeros(1, PAINTED_DIMS), face)
    mouth = (slice(None), slice(None), slice(50, 96), slice(14, 82))
    assert (painted - face[:, 3:])[mouth].abs().mean() > 0.1
    assert torch.allclose(kept[mouth], face[:, 3:][mouth], atol=1e-4)


@pytest.mark.parametrize("times", [2, 3])
def test_a_picture_is_enlarged_as_by_a_bicubic_resize(times: int) -> None:
    picture = torch.rand(2, 3, 20, 24)
    wanted = functional.interpolate(picture, scale_factor=times, mode="bicubic")
    assert torch.allclose(_cubic(picture, times), wanted, atol=1e-5)


def test_skin_that_is_not_moved_keeps_all_that_a_larger_face_shows() -> None:
    network = ShapeToFace().eval()
    for layer in (network.coarse_flow, network.fine_flow, network.residual):
        torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(network.mouth_paint.bias[12:], -30.0)
    face = torch.rand(1, 6, 192, 192)
    with torch.no_grad():
        made = network(torch.zeros(1, PAINTED_DIMS), face)
    assert torch.allclose(made[:, :, 96:], face[:, 3:, 96:], atol=1e-4)


def test_the_frames_of_a_batch_do_not_mix() -> None:
    mel, face = torch.randn(3, 1, 80, 16), torch.rand(3, 6, 96, 96)
    with torch.no_grad():
        together, alone = model()(mel, face), model()(mel[1:2], face[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_what_the_listeners_guess_is_averaged() -> None:
    speech, mel = SpeechToShape(listeners=2).eval(), torch.randn(3, 1, 80, 16)
    with torch.no_grad():
        guesses, shape = speech.guesses(mel), speech(mel)
    assert guesses.shape == (2, 3, 8)
    assert not torch.allclose(guesses[0], guesses[1])
    assert torch.allclose(shape, (guesses[0] + guesses[1]) / 2)


def test_without_flow_the_warp_is_the_reference() -> None:
    network = ShapeToFace().eval()
    for layer in (network.coarse_flow, network.fine_flow):
        torch.nn.init.zeros_(layer.weight)
    face = torch.rand(1, 6, 96, 96)
    with torch.no_grad():
        made = network.render(torch.zeros(1, PAINTED_DIMS), face)
    assert torch.allclose(made.warped, face[:, 3:, 40:], atol=1e-5)


def test_the_expert_s_embeddings_have_length_one_and_the_right_pairs_cost_least() -> None:
    expert = SyncExpert().eval()
    with torch.no_grad():
        seen, heard = expert.see(torch.rand(4, 3, 96, 96)).embedding, expert.hear(torch.randn(4, 1, 80, 16))
    for embedding in (seen, heard):
        assert embedding.shape == (4, 128)
        assert torch.allclose(embedding.norm(dim=1), torch.ones(4), atol=1e-5)
    assert contrast(10 * torch.eye(4)) < contrast(10 * torch.eye(4).flip(0))


def test_the_critic_judges_patches() -> None:
    verdict, features = PatchCritic(8)(torch.rand(2, 3, 48, 96), torch.randn(2, 8))
    assert verdict.shape[:2] == (2, 1)
    assert verdict.shape[3] > 4
    assert len(features) == 4


def test_articulation_spreads_openings_and_presses_the_lips_of_a_closed_mouth() -> None:
    weights = torch.tensor([2.0, 0, 0, 0, 0, 0, 0, 0])
    spread = Articulation(weights, middle=1.0, power=0.5)
    shapes = torch.zeros(4, 8)
    shapes[:, 0] = torch.tensor([0.0, 0.25, 0.5, 1.0])
    openings = spread(shapes)[:, :8] @ weights
    assert openings.tolist() == pytest.approx(
        [-0.99 * PRESS, 0.5**1.5 - 0.5 * PRESS, 1.0, 2.0**1.5], abs=1e-5
    )


def test_articulation_shows_more_teeth_than_are_guessed() -> None:
    spread = Articulation(torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0]), middle=1.0, power=0.5)
    shapes = torch.tensor([[0.0] * 8, [1.0] * 8])
    assert spread(shapes)[:, 6:8].tolist() == [[0, 0], pytest.approx(TEETH_GAINS)]


def test_articulation_tells_more_of_the_inside_the_more_a_mouth_is_open() -> None:
    spread = Articulation(torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0]), middle=2.0, power=0.0)
    shapes = torch.zeros(3, 8)
    shapes[:, 0] = torch.tensor([0.0, 2.0, 20.0])
    shut, open_, wide = spread(shapes)[:, -1].tolist()
    assert shut == 0
    assert 1 > wide > 0.9 > open_ > 0.7


def test_how_dark_an_open_mouth_is_comes_from_the_face_within_bounds() -> None:
    shades = Shades(torch.tensor([1.0, 0.0]), -1.0)
    shape = torch.cat([torch.rand(4, 8), torch.tensor([[1.0], [0.5], [1.0], [1.0]])], 1)
    seen = torch.tensor([[0.5, 1], [0.5, 2], [9, 0], [-9, 1]])
    told = shades(shape, seen)
    assert torch.equal(told[:, :8], shape[:, :8])
    assert told[:, 8].tolist() == pytest.approx([-0.5, -0.25, LIGHTEST_SHADE, DARKEST_SHADE])


def test_paint_is_as_soft_as_the_reference_and_stays_as_it_is_on_a_crisp_one() -> None:
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    checks = ((rows + columns) % 2 - 0.5).expand(3, 3, 96, 96) / 4  # of which each point is 8 times itself
    contrast = torch.tensor([0.0, 0.8, 1.2])[:, None, None, None] * CRISP
    dot = torch.zeros(3, 3, 56, 96)
    dot[:, :, 30, 40] = 1
    strokes = Strokes(torch.zeros(3, 2, 56, 96), dot, dot[:, :1], dot, torch.zeros(3, 1, 48, 72))
    made = _softened(strokes, 0.5 + contrast * checks)
    assert torch.equal(made.warped, dot)
    for painted in (made.shown, made.added):
        flat, soft, crisp = painted[:, 0, 30, 40].tolist()
        assert flat == 0.25
        assert 0.25 < soft < crisp == 1
        assert painted[:, 0].sum((1, 2)).tolist() == pytest.approx([1, 1, 1])
