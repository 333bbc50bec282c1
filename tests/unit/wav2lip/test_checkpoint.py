import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from app.errors import InvalidModel  # noqa: E402  # needs torch
from app.wav2lip.checkpoint import WEIGHT_BYTES, load_network  # noqa: E402
from app.wav2lip.network import Wav2Lip  # noqa: E402

State = dict[str, Any]


@pytest.fixture(scope="module")
def tiny_state() -> State:
    """A whole state dict that takes no room: every entry is one number, repeated without a copy."""
    with torch.device("meta"):
        shapes = Wav2Lip().state_dict()
    return {name: torch.tensor(0.5).to(entry.dtype).expand(entry.shape) for name, entry in shapes.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wav2lip.pth"


def prefixed(state: State) -> State:
    return {"module." + name: entry for name, entry in state.items()}


@pytest.mark.parametrize(
    ("arrange", "nested", "zipped"),
    [(dict, True, True), (prefixed, True, False), (prefixed, False, True), (dict, False, False)],
    ids=["nested zip", "prefixed nested before torch 1.6", "prefixed bare zip", "bare before torch 1.6"],
)
def test_every_form_of_an_official_checkpoint_is_loaded(
    tiny_state: State, path: Path, arrange: Any, nested: bool, zipped: bool
) -> None:
    state = arrange(tiny_state)
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3), "step": 1}}, "param_groups": [{"lr": 1e-4}]}
    checkpoint = {"state_dict": state, "optimizer": optimizer, "global_step": 7} if nested else state
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    network = load_network(path)
    assert not network.training
    assert all((parameter == 0.5).all() for parameter in network.parameters())


def test_half_precision_weights_are_loaded_as_fp32(tiny_state: State, path: Path) -> None:
    half = torch.tensor(0.25, dtype=torch.float16)
    weights = {
        name: half.expand(entry.shape) for name, entry in tiny_state.items() if entry.is_floating_point()
    }
    torch.save({**tiny_state, **weights}, path)
    network = load_network(path)
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert all((parameter == 0.25).all() for parameter in network.parameters())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_a_truncated_checkpoint_is_told_by_its_bytes(
    tiny_state: State, path: Path, zipped: bool, kept: float
) -> None:
    torch.save(tiny_state, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()[: int(path.stat().st_size * kept)]
    path.write_bytes(content)
    with pytest.raises(InvalidModel, match="is truncated or damaged") as caught:
        load_network(path)
    assert f"{WEIGHT_BYTES:,} bytes or more in fp32; found {len(content):,} bytes" in caught.value.detail


def test_a_half_missing_checkpoint_is_told_by_its_keys(tiny_state: State, path: Path) -> None:
    half = {name: entry for name, entry in tiny_state.items() if name.startswith("face_encoder")}
    torch.save({"state_dict": half}, path)
    with pytest.raises(InvalidModel) as caught:
        load_network(path)
    assert f"{352 - len(half)} entries (the first: audio_encoder.0.conv_block.0.weight) are missing" in (
        caught.value.detail
    )
    assert f"Expected 352 entries, {WEIGHT_BYTES:,} bytes or more in fp32; found {len(half)} entries in" in (
        caught.value.detail
    )


def test_the_state_dict_of_another_network_is_told_by_its_keys(path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(3), "conv1.bias": torch.zeros(1)}, path)
    with pytest.raises(InvalidModel, match=r"2 entries \(the first: conv1\.weight\) are foreign"):
        load_network(path)


def test_a_variant_for_larger_faces_is_told_by_its_shapes(tiny_state: State, path: Path) -> None:
    key = "face_decoder_blocks.3.0.conv_block.0.weight"
    torch.save({**tiny_state, key: torch.zeros(1).expand(1024, 384, 3, 3)}, path)
    with pytest.raises(InvalidModel, match=r"should have the shape \(768, 384, 3, 3\) and has \(1024, 384"):
        load_network(path)


def test_weights_that_are_not_finite_are_refused(tiny_state: State, path: Path) -> None:
    torch.save({**tiny_state, "output_block.1.bias": torch.tensor([0.0, torch.nan, 0.0])}, path)
    with pytest.raises(InvalidModel, match=r"output_block\.1\.bias holds values that are not finite"):
        load_network(path)


@pytest.mark.parametrize(
    "content", [[1, 2, 3], {"state_dict": 3}, torch.zeros(2)], ids=["list", "number", "tensor"]
)
def test_a_file_without_a_state_dict_is_refused(path: Path, content: Any) -> None:
    torch.save(content, path)
    with pytest.raises(InvalidModel, match="holds no state dict"):
        load_network(path)


def test_a_text_is_refused(path: Path) -> None:
    path.write_text("these are not the weights")
    with pytest.raises(InvalidModel, match="is not a PyTorch checkpoint"):
        load_network(path)


@pytest.mark.parametrize(
    ("member", "sentence"),
    [("word/document.xml", "a zip archive of something else"), ("m/constants.pkl", "a TorchScript archive")],
)
def test_a_zip_of_something_else_is_refused(path: Path, member: str, sentence: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"content")
    with pytest.raises(InvalidModel, match=sentence):
        load_network(path)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def test_code_in_a_checkpoint_is_not_run(path: Path, tmp_path: Path) -> None:
    marker = tmp_path / "run"
    torch.save({"state_dict": Trap(marker)}, path)
    with pytest.raises(InvalidModel, match="holds Python objects besides tensors"):
        load_network(path)
    path.write_bytes(pickle.dumps(Trap(marker), protocol=2))
    with pytest.raises(InvalidModel):
        load_network(path)
    assert not marker.exists()
