from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.wav2lip.network import PARAMETERS, STATE_ENTRIES, Wav2Lip  # noqa: E402  # needs torch
from tests.support.checkpoints import random_weights  # noqa: E402
from tests.support.network_vector import PATH, SEED, sample, vector_inputs  # noqa: E402


@pytest.fixture(scope="module")
def network() -> Any:
    return network_of({name: torch.from_numpy(array) for name, array in random_weights(SEED).items()})


def network_of(weights: dict[str, Any]) -> Any:
    with torch.device("meta"):
        network = Wav2Lip().eval()
    network.to_empty(device="cpu").load_state_dict(weights)
    return network


def run(network: Any, frames: int = 2) -> Any:
    with torch.no_grad():
        return network(*map(torch.from_numpy, vector_inputs(frames))).numpy()


def test_it_has_the_size_of_the_official_network(network: Any) -> None:
    assert len(network.state_dict()) == STATE_ENTRIES == 352
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS == 36_298_035


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("face_encoder_blocks.0.0.conv_block.0.weight", (16, 6, 7, 7)),
        ("face_encoder_blocks.2.3.conv_block.1.running_mean", (64,)),
        ("face_encoder_blocks.6.1.conv_block.0.weight", (512, 512, 1, 1)),
        ("audio_encoder.0.conv_block.0.weight", (32, 1, 3, 3)),
        ("audio_encoder.9.conv_block.0.weight", (256, 128, 3, 3)),
        ("audio_encoder.12.conv_block.1.num_batches_tracked", ()),
        ("face_decoder_blocks.0.0.conv_block.0.bias", (512,)),
        ("face_decoder_blocks.1.0.conv_block.0.weight", (1024, 512, 3, 3)),
        ("face_decoder_blocks.3.0.conv_block.0.weight", (768, 384, 3, 3)),
        ("face_decoder_blocks.6.2.conv_block.1.running_var", (64,)),
        ("output_block.0.conv_block.0.weight", (32, 80, 3, 3)),
        ("output_block.1.weight", (3, 32, 1, 1)),
    ],
)
def test_its_entries_have_the_official_names_and_shapes(
    network: Any, key: str, shape: tuple[int, ...]
) -> None:
    assert tuple(network.state_dict()[key].shape) == shape


def test_its_numbers_are_those_of_the_committed_vector(network: Any) -> None:
    faces = run(network)
    pinned = np.load(PATH)
    np.testing.assert_allclose(sample(faces), pinned["pixels"], atol=1e-5)
    np.testing.assert_allclose(faces.mean(axis=(2, 3)), pinned["means"], atol=1e-5)
    np.testing.assert_allclose(faces.std(axis=(2, 3)), pinned["stds"], atol=1e-5)
    assert pinned["stds"].min() > 0.1


def test_folding_the_norms_changes_nothing_but_the_number_of_entries(network: Any) -> None:
    before = run(network)
    folded = network_of(network.state_dict())
    folded.fold_norms()
    assert len(folded.state_dict()) == 2 * 51
    np.testing.assert_allclose(run(folded), before, atol=1e-5)


def test_the_sound_and_both_faces_shape_the_result(network: Any) -> None:
    mel, face = map(torch.from_numpy, vector_inputs(1))
    other_masked, other_reference = face.clone(), face.clone()
    other_masked[:, :3, :48] = 0.5
    other_reference[:, 3:] = 0.5
    with torch.no_grad():
        result, *others = network(
            torch.cat([mel, -mel, mel, mel]), torch.cat([face, face, other_masked, other_reference])
        )
    assert all((result - other).abs().mean() > 1e-3 for other in others)
