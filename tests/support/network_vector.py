"""The network's numbers, pinned: what the random checkpoint of seed 0 makes of random inputs.

``python -m tests.support.network_vector`` computes them anew in float64 and writes them; needed only if the
random checkpoint or the inputs are changed on purpose.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.wav2lip.arrays import FaceBatch, MelBatch

PATH = Path(__file__).with_name("network_vector.npz")
SEED = 0


def vector_inputs(frames: int = 2) -> tuple[MelBatch, FaceBatch]:
    """Return mel (frames, 1, 80, 16) and face (frames, 6, 96, 96) as the network is trained to see them."""
    rng = np.random.default_rng(1)
    mel = rng.uniform(-4, 4, (frames, 1, 80, 16)).astype(np.float32)
    face = rng.random((frames, 6, 96, 96), np.float32)
    face[:, :3, 48:] = 0
    return mel, face


def sample(faces: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the pixels (frames, 3, 8, 8) that are pinned, every twelfth from the sixth."""
    return faces[:, :, 6::12, 6::12]


def write_vector() -> None:
    """Compute the vector in float64 and write it."""
    import torch

    from app.wav2lip.network import Wav2Lip
    from tests.support.checkpoints import random_weights

    network = Wav2Lip().eval().double()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in random_weights(SEED).items()})
    mel, face = (torch.from_numpy(array).double() for array in vector_inputs())
    with torch.no_grad():
        faces = network(mel, face).numpy()
    np.savez_compressed(
        PATH,
        pixels=sample(faces).astype(np.float32),
        means=faces.mean(axis=(2, 3)),
        stds=faces.std(axis=(2, 3)),
    )


if __name__ == "__main__":
    write_vector()
