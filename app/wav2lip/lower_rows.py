"""The network without the rows that nobody sees: a result shows only the lower half of a face.

At each size of the decoder, a row of the output depends on a few rows above it, all rows below, and the
whole of the encoders. The rows further above are cut off before each block; the rest computes the same sums
of the same products. Transposed convolutions of stride 2 start cleanly at a cut (output row 2i is made of
input row i alone). Each 3x3 convolution after them spoils its uppermost row, which the next cut removes. So
the rows computed start at 2, 8, 20, 44 of 12, 24, 48, 96, which is 1.7 times as fast as the full network.
"""

from typing import Final

import torch
from torch import Tensor, nn

from app.wav2lip.network import Wav2Lip

FIRST_ROW: Final = 48
"""First row of the output, of 96."""

_CUTS: Final = (0, 0, 0, 1, 2, 2, 2)
"""Rows that are cut off before each block of the decoder: one at size 6, then the two made wrong before."""

_ROWS: Final = 96 - FIRST_ROW


class LowerRows(nn.Module):
    """The lower half of what the network makes: (B, 3, 48, 96), the same numbers."""

    def __init__(self, network: Wav2Lip) -> None:
        super().__init__()
        self.network = network

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        """Return rows 48.. of the faces that say ``mel``."""
        network, skipped = self.network, []
        for block in network.face_encoder_blocks:
            face = block(face)
            skipped.append(face)
        features = network.audio_encoder(mel)
        for cut, block in zip(_CUTS, network.face_decoder_blocks, strict=True):
            features = block(features[:, :, cut:])
            features = torch.cat((features, skipped.pop()[:, :, -features.shape[2] :]), dim=1)
        faces: Tensor = network.output_block(features)
        return faces[:, :, -_ROWS:]
