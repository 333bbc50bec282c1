"""The critic of the adversarial finish: is this patch of a mouth a photograph, and of the stated shape?"""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchCritic(nn.Module):
    """Judges patches of pictures (B, 3, H, W), 0..1, given what they should show (PatchGAN, hinge loss).

    The condition (B, D) enters as in Miyato and Koyama 2018: by its embedding's product with each patch's
    features.
    """

    def __init__(self, condition: int) -> None:
        super().__init__()
        sizes = ((3, 32, 2), (32, 64, 2), (64, 96, 2), (96, 96, 1))
        self.layers = nn.ModuleList(
            nn.Sequential(spectral_norm(nn.Conv2d(inputs, outputs, 2 + stride, stride, 1)), nn.LeakyReLU(0.2))
            for inputs, outputs, stride in sizes
        )
        self.verdict = spectral_norm(nn.Conv2d(96, 1, 3, 1, 1))
        self.embedding = spectral_norm(nn.Linear(condition, 96))

    def forward(self, faces: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the verdict on each patch, positive for real, and the features that led to it."""
        x = (faces - 0.45) * 2
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        fits = (x * self.embedding(condition)[:, :, None, None]).sum(1, keepdim=True) / x.shape[1] ** 0.5
        return self.verdict(x) + fits, features
