"""The Wav2Lip generator (Prajwal et al., 2020), with the parameter names of the official checkpoints.

Two encoders, for the sound and the face, and a decoder that joins the face's features at every size:
36,298,035 parameters, 352 entries in its state dict, 3.97 GMAC per frame.
"""

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STATE_ENTRIES: Final = 352
PARAMETERS: Final = 36_298_035


@dataclass(frozen=True)
class Layer:
    """A convolution with batch norm and ReLU: channels in and out, kernel, stride, padding."""

    inputs: int
    outputs: int
    kernel: int = 3
    stride: int | tuple[int, int] = 1
    padding: int = 1
    residual: bool = False
    """The input is added before the ReLU."""
    output_padding: int | None = None
    """Rows and columns added on one side; the convolution is transposed unless None."""


def _residual(channels: int) -> Layer:
    return Layer(channels, channels, residual=True)


def _up(inputs: int, outputs: int) -> Layer:
    return Layer(inputs, outputs, stride=2, output_padding=1)


FACE_ENCODER: Final = (
    (Layer(6, 16, kernel=7, padding=3),),
    (Layer(16, 32, stride=2), *[_residual(32)] * 2),
    (Layer(32, 64, stride=2), *[_residual(64)] * 3),
    (Layer(64, 128, stride=2), *[_residual(128)] * 2),
    (Layer(128, 256, stride=2), *[_residual(256)] * 2),
    (Layer(256, 512, stride=2), _residual(512)),
    (Layer(512, 512, padding=0), Layer(512, 512, kernel=1, padding=0)),
)
"""Blocks that halve the face, 96 to 3, then 1; each one's output also goes to the decoder."""

AUDIO_ENCODER: Final = (
    *(Layer(1, 32), *[_residual(32)] * 2),
    *(Layer(32, 64, stride=(3, 1)), *[_residual(64)] * 2),
    *(Layer(64, 128, stride=3), *[_residual(128)] * 2),
    *(Layer(128, 256, stride=(3, 2)), _residual(256)),
    *(Layer(256, 512, padding=0), Layer(512, 512, kernel=1, padding=0)),
)
"""From a window of 80 x 16 to one vector of 512."""

FACE_DECODER: Final = (
    (Layer(512, 512, kernel=1, padding=0),),
    (replace(_up(1024, 512), stride=1, padding=0, output_padding=0), _residual(512)),
    (_up(1024, 512), *[_residual(512)] * 2),
    (_up(768, 384), *[_residual(384)] * 2),
    (_up(512, 256), *[_residual(256)] * 2),
    (_up(320, 128), *[_residual(128)] * 2),
    (_up(160, 64), *[_residual(64)] * 2),
)
"""Blocks that double the size, 1 to 3, then 96; their inputs have the encoder's channels beside their own."""

OUTPUT: Final = Layer(80, 32)


class Convolution(nn.Module):
    """One layer, its convolution and norm under the official name ``conv_block``."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        shape = (layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding)
        convolution = (
            nn.Conv2d(*shape)
            if layer.output_padding is None
            else nn.ConvTranspose2d(*shape, output_padding=layer.output_padding)
        )
        self.conv_block = nn.Sequential(convolution, nn.BatchNorm2d(layer.outputs))
        self.residual = layer.residual

    def forward(self, features: Tensor) -> Tensor:
        """Return the layer's features."""
        result: Tensor = self.conv_block(features)
        return torch.relu(result + features if self.residual else result)

    def fold_norm(self) -> None:
        """Put the norm into the convolution's weights: the same function without the norm's own pass."""
        convolution, norm = self.conv_block
        assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
        assert isinstance(norm, nn.BatchNorm2d)
        transposed = isinstance(convolution, nn.ConvTranspose2d)
        self.conv_block = nn.Sequential(fuse_conv_bn_eval(convolution, norm, transpose=transposed))


class Wav2Lip(nn.Module):
    """The generator: mel (B, 1, 80, 16) and face (B, 6, 96, 96), 0..1, to faces (B, 3, 96, 96), 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder_blocks = nn.ModuleList(map(_block, FACE_ENCODER))
        self.audio_encoder = _block(AUDIO_ENCODER)
        self.face_decoder_blocks = nn.ModuleList(map(_block, FACE_DECODER))
        self.output_block = nn.Sequential(Convolution(OUTPUT), nn.Conv2d(32, 3, 1), nn.Sigmoid())

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        """Return the faces that say ``mel``."""
        skipped = []
        for block in self.face_encoder_blocks:
            face = block(face)
            skipped.append(face)
        features = self.audio_encoder(mel)
        for block in self.face_decoder_blocks:
            features = torch.cat((block(features), skipped.pop()), dim=1)
        faces: Tensor = self.output_block(features)
        return faces

    def fold_norms(self) -> None:
        """Fold every batch norm into its convolution, in place; the network must be in evaluation mode."""
        for module in self.modules():
            if isinstance(module, Convolution):
                module.fold_norm()


def _block(layers: tuple[Layer, ...]) -> nn.Sequential:
    return nn.Sequential(*map(Convolution, layers))
