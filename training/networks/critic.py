"""The critic of the adversarial finish: is this patch of a face a photograph?"""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from training.networks.blocks import Tensor


class PatchCritic(nn.Module):  # type: ignore[misc]
    """Judges patches of faces (B, 3, H, W), 0..1 (PatchGAN with spectral norm, hinge loss)."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((3, 24, 2), (24, 48, 2), (48, 96, 2), (96, 96, 1))
        self.layers = nn.ModuleList(
            nn.Sequential(spectral_norm(nn.Conv2d(inputs, outputs, 2 + stride, stride, 1)), nn.LeakyReLU(0.2))
            for inputs, outputs, stride in sizes
        )
        self.verdict = spectral_norm(nn.Conv2d(96, 1, 3, 1, 1))

    def forward(self, faces: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the verdict on each patch, positive for real, and the features that led to it."""
        x = (faces - 0.45) * 2
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return self.verdict(x), features
