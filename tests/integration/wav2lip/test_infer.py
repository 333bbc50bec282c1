from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from app.errors import InvalidModel
from app.wav2lip.arrays import FaceCrops, MelWindows
from app.wav2lip.infer import Wav2LipInfer
from tests.support.network_vector import vector_inputs
from tests.support.onnx_models import TinyModel

SIZE = 48
CARD = '{"name": "Tiny", "mouth_offset_ms": 60, "reference": "closed", "licence": "none"}'


@pytest.fixture(scope="module")
def infer(tmp_path_factory: pytest.TempPathFactory) -> Wav2LipInfer:
    """A tiny model that looks at the face, too."""
    folder = tmp_path_factory.mktemp("infer")
    model = TinyModel(face_size=SIZE, adds_face=True).write(folder / "tiny.onnx")
    (folder / "tiny.json").write_text(CARD)
    return Wav2LipInfer(model, dtype="fp32", device="cpu")


def some_frames(count: int, size: int = SIZE) -> tuple[MelWindows, FaceCrops]:
    rng = np.random.default_rng(7)
    windows = rng.uniform(-4, 4, (count, 80, 16)).astype(np.float32)
    return windows, rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_a_model_is_described_by_its_card(infer: Wav2LipInfer) -> None:
    info = infer.info
    assert (info.engine, info.device, info.dtype, info.face_size) == ("openvino", "cpu", "fp32", SIZE)
    assert (info.name, info.mouth_offset_ms, info.reference) == ("Tiny", 60.0, "closed")
    assert (info.licence, info.commercial_use) == ("none", False)
    assert len(info.sha256) == 64


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 11])
def test_every_frame_of_a_batch_of_any_size_is_rendered_as_if_alone(infer: Wav2LipInfer, count: int) -> None:
    windows, crops = some_frames(count)
    together = infer.render(windows, crops)
    assert together.shape == (count, SIZE, SIZE, 3)
    assert together.dtype == np.uint8
    for index in range(count):
        alone = infer.render(windows[index : index + 1], crops[index : index + 1])
        np.testing.assert_allclose(together[index].astype(int), alone[0], atol=1)


def test_the_lower_half_of_the_crop_is_hidden_from_the_model_but_not_that_of_the_reference(
    infer: Wav2LipInfer,
) -> None:
    windows, crops = some_frames(2)
    masked = crops.copy()
    masked[:, SIZE // 2 :] = 0
    np.testing.assert_array_equal(infer.render(windows, masked, crops), infer.render(windows, crops))
    assert (infer.render(windows, masked, masked) != infer.render(windows, crops)).any()


def test_render_rounds_what_the_call_returns(infer: Wav2LipInfer) -> None:
    windows, crops = some_frames(3)
    faces = np.concatenate([crops, crops], axis=3).transpose(0, 3, 1, 2) / np.float32(255)
    faces[:, :3, SIZE // 2 :] = 0
    spoken = infer(windows[:, None], faces)
    assert spoken.dtype == np.float32
    expected = np.rint(np.clip(spoken, 0, 1) * 255).transpose(0, 2, 3, 1)
    expected[:, : SIZE // 2] = crops[:, : SIZE // 2]
    rendered = infer.render(windows, crops)
    assert np.abs(rendered - expected).max() <= 1
    assert (rendered == expected).mean() > 0.999


def test_arrays_that_do_not_own_writable_memory_are_taken(infer: Wav2LipInfer) -> None:
    windows, crops = some_frames(4)
    expected = infer.render(windows[::2], crops[::2])
    windows.flags.writeable = crops.flags.writeable = False
    np.testing.assert_array_equal(infer.render(windows[::2], crops[::2]), expected)


def test_a_batch_whose_parts_do_not_fit_each_other_is_refused(infer: Wav2LipInfer) -> None:
    windows, crops = some_frames(2)
    with pytest.raises(ValueError, match="expected mel"):
        infer.render(windows[:1], crops)
    with pytest.raises(ValueError, match="expected mel"):
        infer.render(windows, crops[:, :32, :32])


def test_tensors_come_back_as_tensors_and_arrays_as_arrays(infer: Wav2LipInfer) -> None:
    torch = pytest.importorskip("torch")
    windows, crops = some_frames(2)
    faces = np.repeat(crops, 2, axis=3).transpose(0, 3, 1, 2) / np.float64(255)
    from_arrays = infer(windows[:, None].astype(np.float64), faces)
    from_tensors = infer(torch.from_numpy(windows[:, None]), torch.from_numpy(faces))
    assert isinstance(from_arrays, np.ndarray)
    assert isinstance(from_tensors, torch.Tensor)
    assert from_arrays.dtype == np.float32
    assert from_tensors.dtype == torch.float32
    np.testing.assert_array_equal(from_tensors.numpy(), from_arrays)
    assert infer(torch.zeros(0, 1, 80, 16), torch.zeros(0, 6, SIZE, SIZE)).shape == (0, 3, SIZE, SIZE)


def test_the_torch_engine_takes_tensors_as_they_are(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from app.wav2lip.torch_engine import TorchEngine

    monkeypatch.setattr(
        "app.wav2lip.infer.open_engine", lambda path, _: TorchEngine(path, "fp32", device="cpu")
    )
    infer = Wav2LipInfer(checkpoint)
    mel, face = vector_inputs(2)
    spoken = infer(torch.from_numpy(mel).requires_grad_(), torch.from_numpy(face))
    assert spoken.dtype == torch.float32
    assert not spoken.requires_grad
    np.testing.assert_allclose(spoken.numpy(), infer(mel, face), atol=1e-6)
    with pytest.raises(ValueError, match="expected mel"):
        infer(torch.from_numpy(mel), torch.from_numpy(face[:1]))
    assert len(infer(torch.from_numpy(mel[:0]), torch.from_numpy(face[:0]))) == 0


@pytest.mark.parametrize("lower_rows", [False, True])
def test_an_engine_that_takes_pixels_makes_the_faces_that_others_make(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, lower_rows: bool
) -> None:
    pytest.importorskip("torch")
    from app.wav2lip.torch_engine import TorchEngine

    engine = TorchEngine(checkpoint, "fp32", device="cpu", lower_rows=lower_rows)
    members = ("name", "device", "dtype", "face_size", "batch_size", "first_row", "infer")
    without_pixels = SimpleNamespace(**{name: getattr(engine, name) for name in members})
    windows, crops = some_frames(9, 96)
    references = crops[::-1]
    rendered = []
    for each in (engine, without_pixels):
        monkeypatch.setattr("app.wav2lip.infer.open_engine", lambda *_, each=each: each)
        rendered.append(Wav2LipInfer(checkpoint).render(windows, crops, references).astype(int))
    made, expected = rendered
    assert np.abs(made - expected).max() <= 1
    assert (made == expected).mean() > 0.999


def test_a_card_that_contradicts_its_model_is_refused(tmp_path: Path) -> None:
    model = TinyModel(face_size=32).write(tmp_path / "tiny.onnx")
    (tmp_path / "tiny.json").write_text('{"face_size": 96}')
    with pytest.raises(InvalidModel, match="faces are 96 pixels wide, but the model takes 32"):
        Wav2LipInfer(model, device="cpu")


def test_the_card_says_the_size_where_the_model_leaves_it_open(tmp_path: Path) -> None:
    model = TinyModel(face_size=None).write(tmp_path / "tiny.onnx")
    (tmp_path / "tiny.json").write_text('{"face_size": 64}')
    assert Wav2LipInfer(model, device="cpu").face_size == 64


def test_warming_up_takes_time(infer: Wav2LipInfer) -> None:
    assert infer.warm_up() > 0
