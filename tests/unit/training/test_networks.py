import pytest

torch = pytest.importorskip("torch")

from training.networks.blocks import bias_of  # noqa: E402
from training.networks.critic import PatchCritic  # noqa: E402
from training.networks.face import PAINTED_DIMS, ShapeToFace, Strokes, warp  # noqa: E402
from training.networks.paint import Paint, Shades, _softened, _without_grid  # noqa: E402
from training.networks.sync_expert import SyncExpert, contrast  # noqa: E402
from training.settings import TrainSettings  # noqa: E402

NUMBERS = TrainSettings().paint
OPENING = torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0])


def model() -> Paint:
    torch.manual_seed(0)
    made = Paint(ShapeToFace(), Shades(torch.zeros(128), -1.0, OPENING, NUMBERS))
    made.eval()
    return made


def test_a_painter_answers_in_strokes_that_are_its_picture() -> None:
    painter, face, shape = model(), torch.rand(2, 6, 96, 96), torch.randn(2, 16)
    with torch.no_grad():
        flow, shown, added = painter(shape, face)
        told = painter.shades(shape, torch.zeros(2, 128))
        made = painter.face(told, face)
    assert (flow.shape, shown.shape, added.shape) == ((2, 2, 56, 96), (2, 1, 56, 96), (2, 3, 56, 96))
    painted = (warp(face[:, 3:], flow) * shown + added).clamp(0, 1)
    assert (painted[:, :, 8:] - made[:, :, 48:]).abs().mean() < 5e-3
    assert torch.equal(made[:, :, :40], face[:, :3, :40])


def test_an_inner_mouth_may_keep_what_the_reference_shows_there() -> None:
    network = ShapeToFace().eval()
    for layer in (network.coarse_flow, network.fine_flow, network.residual):
        torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(bias_of(network.mouth_paint)[12:], 30.0)
    face = torch.rand(1, 6, 96, 96)
    with torch.no_grad():
        painted = network(torch.zeros(1, PAINTED_DIMS), face)
        torch.nn.init.constant_(bias_of(network.mouth_keep), 30.0)
        kept = network(torch.zeros(1, PAINTED_DIMS), face)
    mouth = (slice(None), slice(None), slice(50, 96), slice(14, 82))
    assert (painted - face[:, 3:])[mouth].abs().mean() > 0.1
    assert torch.allclose(kept[mouth], face[:, 3:][mouth], atol=1e-4)


def test_the_frames_of_a_batch_do_not_mix() -> None:
    shape, face = torch.randn(3, 16), torch.rand(3, 6, 96, 96)
    with torch.no_grad():
        together, alone = model()(shape, face), model()(shape[1:2], face[1:2])
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one[1:2], other, atol=1e-5)


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


def told(wanted: list[float], own: list[float], seen: float = -1.0) -> list[float]:
    """Return the shades told for openings of the wanted mouths and of the references' own."""
    shape = torch.zeros(len(wanted), 16)
    shape[:, 0], shape[:, 8] = torch.tensor(wanted) - torch.tensor(own), torch.tensor(own)
    shades = Shades(torch.ones(1), 0.0, OPENING, NUMBERS)
    made = shades(shape, torch.full((len(wanted), 1), seen))
    assert torch.equal(made[:, :16], shape)
    return list(made[:, 16].tolist())


def test_a_shade_is_told_by_how_much_more_of_an_inside_there_is_than_in_the_reference() -> None:
    half = NUMBERS.half_open
    shut, open_, wide, same, less = told([0.0, half, 50.0, half, 0.0], [0.0, 0.0, 0.0, half, half])
    assert (shut, same) == (0, 0)
    assert open_ == pytest.approx(-0.5)
    assert -1 < wide < -0.9
    assert less == pytest.approx(0.5)


def test_a_shade_stays_within_its_bounds() -> None:
    (dark,), (light,) = (told([1e6], [0.0], seen) for seen in (-9.0, 9.0))
    assert (dark, light) == pytest.approx((NUMBERS.darkest, NUMBERS.lightest), rel=1e-3)


def test_paint_has_no_grid_and_keeps_what_is_even() -> None:
    rows, columns = torch.meshgrid(torch.arange(56), torch.arange(96), indexing="ij")
    even = torch.full((1, 3, 56, 96), 0.5)
    grids = (0.3 * (rows % 2 - 0.5), 0.3 * (columns % 2 - 0.5), 0.3 * ((rows + columns) % 2 - 0.5))
    for grid in grids:
        added, shown = even + grid, even[:, :1] + grid
        strokes = Strokes(torch.zeros(1, 2, 56, 96), added, shown, added, torch.zeros(1, 1, 48, 72))
        made = _without_grid(strokes)
        for x in (made.added, made.shown):
            assert torch.allclose(x[..., 2:-2, 2:-2], torch.tensor(0.5), atol=1e-5)


def test_paint_is_as_soft_as_the_reference_and_stays_as_it_is_on_a_crisp_one() -> None:
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    checks = ((rows + columns) % 2 - 0.5).expand(3, 3, 96, 96) / 4  # of which each point is 8 times itself
    contrast = torch.tensor([0.0, 0.8, 1.2])[:, None, None, None] * NUMBERS.crisp
    dot = torch.zeros(3, 3, 56, 96)
    dot[:, :, 30, 40] = 1
    strokes = Strokes(torch.zeros(3, 2, 56, 96), dot, dot[:, :1], dot, torch.zeros(3, 1, 48, 72))
    made = _softened(strokes, 0.5 + contrast * checks, NUMBERS)
    assert torch.equal(made.warped, dot)
    for painted in (made.shown, made.added):
        flat, soft, crisp = painted[:, 0, 30, 40].tolist()
        assert flat == 0.25
        assert 0.25 < soft < crisp == 1
        assert painted[:, 0].sum((1, 2)).tolist() == pytest.approx([1, 1, 1])
