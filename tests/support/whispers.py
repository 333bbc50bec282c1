"""Tiny encoders with the layout of Whisper's: random weights, 64 numbers a row."""

from pathlib import Path

import numpy as np

DIMS = 64


def write_encoder(path: Path, layers: int = 2) -> Path:
    """Write the .npz of an encoder of random weights."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
        scale = float(np.sqrt(np.prod(shape[1:])))
        return (rng.standard_normal(shape) / scale).astype(np.float16)

    arrays = {
        "conv1/weight": weights(DIMS, 80, 3),
        "conv2/weight": weights(DIMS, DIMS, 3),
        "position_encodings/encodings": weights(1500, DIMS),
    }
    for layer in range(layers):
        place = f"layer_{layer}"
        for norm in ("self_attention/layer_norm", "ffn/layer_norm"):
            arrays[f"{place}/{norm}/gamma"] = np.ones(DIMS, np.float16)
            arrays[f"{place}/{norm}/beta"] = np.zeros(DIMS, np.float16)
        shapes = {
            "self_attention/linear_0": (3 * DIMS, DIMS),
            "self_attention/linear_1": (DIMS, DIMS),
            "ffn/linear_0": (4 * DIMS, DIMS),
            "ffn/linear_1": (DIMS, 4 * DIMS),
        }
        arrays |= {f"{place}/{name}/weight": weights(*shape) for name, shape in shapes.items()}
    biases = {
        name.removesuffix("weight") + "bias": np.zeros(array.shape[0], np.float16)
        for name, array in arrays.items()
        if name.endswith("weight")
    }
    np.savez(path, **{f"encoder/{name}": array for name, array in (arrays | biases).items()})  # type: ignore[arg-type]
    return path
