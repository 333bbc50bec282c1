"""What the colours of a video can be. Needs no numpy."""

from typing import Literal

ColorMatrix = Literal["bt601", "bt709", "bt2020"]
"""How luma and chroma follow from red, green and blue."""

ColorRange = Literal["limited", "full"]
"""Whether 8-bit luma goes from 16 to 235, or from 0 to 255."""
