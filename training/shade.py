"""How dark the inside of a mouth is: what neither its outline nor its teeth tell.

One open mouth is a black cavity, the next as grey as teeth in shadow; it depends on light and lens, and is
not heard. A network that is not told paints the average, a grey brown.
"""

import torch
from torch import Tensor

from training.tuned import ShadeNumbers


def inner_shades(mouths: Tensor, inside: Tensor, numbers: ShadeNumbers) -> Tensor:
    """Return how bright the dark part of inner mouths is (B,), in deviations from the average mouth.

    ``mouths`` (B, 3, H, W), 0..1, are mouths with the skin around them; ``inside`` (B, 1, H, W) is 1 within
    the inner lips, 0 elsewhere.
    """
    brightness, within = mouths.mean(1).flatten(1), inside.flatten(1) > 0
    count = within.sum(1)
    ordered = brightness.masked_fill(~within, 1.0).sort(1).values
    dark = ordered.gather(1, (numbers.dark_share * count).long()[:, None])[:, 0]
    skin = brightness.masked_fill(within, torch.nan).nanmedian(1).values.clamp(min=0.02)
    return (dark / skin - numbers.mean) / numbers.deviation * belief(inside, numbers)


def belief(inside: Tensor, numbers: ShadeNumbers) -> Tensor:
    """Return how far shades are believed (B,), 0..1: by how much there is of inner mouths (B, 1, H, W)."""
    count = inside.flatten(1).sum(1)
    return count / (count + numbers.few_pixels)
