import pytest

torch = pytest.importorskip("torch")

from training.networks.critic import PatchCritic  # noqa: E402
from training.networks.sync_expert import SyncExpert, contrast  # noqa: E402


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
