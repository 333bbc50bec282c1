"""Runs checkpoints with torch: made for CUDA, correct on a CPU.

Batch norms are folded into the convolutions, the layout is channels-last (that of the tensor cores), and on
CUDA the kernels of a full batch are recorded once as a graph and replayed, so that launching them costs
nothing.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from app.errors import EngineUnavailable
from app.wav2lip.arrays import FaceBatch, FaceOutput, MelBatch
from app.wav2lip.checkpoint import load_network
from app.wav2lip.devices import cuda_index, install_command
from app.wav2lip.engine import DEFAULT_FACE_SIZE, DType
from app.wav2lip.lower_rows import FIRST_ROW, LowerRows

_CPU_BATCH: Final = 8
_CUDA_BATCH: Final = 32

_DTYPES: Final[dict[DType, Any]] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

_WARM_UP_RUNS: Final = 3
"""Runs before a graph is recorded, in which cuDNN chooses its kernels and allocates (PyTorch's manual)."""


class TorchEngine:
    """An official-layout checkpoint under torch."""

    name = "torch"
    face_size = DEFAULT_FACE_SIZE

    def __init__(
        self, path: Path, dtype: DType | None = None, *, device: str = "cuda", lower_rows: bool = False
    ) -> None:
        """Load the checkpoint at ``path``; raises InvalidModel and EngineUnavailable.

        ``dtype`` None is fp16 on CUDA and fp32 on a CPU. With ``lower_rows`` it makes rows S // 2.. only.
        """
        self._device = _open_device(device)
        self._on_cuda = self._device.type == "cuda"
        self.device = str(self._device)
        self.dtype: DType = dtype or ("fp16" if self._on_cuda else "fp32")
        self.batch_size = _CUDA_BATCH if self._on_cuda else _CPU_BATCH
        network = load_network(path)
        network.fold_norms()
        self.first_row = FIRST_ROW if lower_rows else 0
        wanted = LowerRows(network) if lower_rows else network
        self._network = wanted.to(self._device, _DTYPES[self.dtype], memory_format=torch.channels_last)
        self._graph: _Graph | None = None

    def infer(self, mel: MelBatch, face: FaceBatch) -> FaceOutput:
        """Return the faces that say ``mel``."""
        mel, face = np.require(mel, requirements="W"), np.require(face, requirements="W")
        output: FaceOutput = self.infer_tensors(torch.from_numpy(mel), torch.from_numpy(face)).cpu().numpy()
        return output

    def infer_tensors(self, mel: Any, face: Any) -> Any:
        """Return the faces (B, 3, S, S), float32 on the engine's device, that say ``mel``: torch tensors."""
        with torch.no_grad(), _exact_convolutions():
            parts = zip(mel.split(self.batch_size), face.split(self.batch_size), strict=True)
            return torch.cat([self._run(self._take(mel), self._take(face)).float() for mel, face in parts])

    def _take(self, batch: Any) -> Any:
        batch = batch.to(self._device, _DTYPES[self.dtype])
        return batch.contiguous(memory_format=torch.channels_last)

    def _run(self, mel: Any, face: Any) -> Any:
        if not self._on_cuda:
            return self._network(mel, face)
        frames = len(mel)
        mel, face = _filled(mel, self.batch_size), _filled(face, self.batch_size)
        if self._graph is None:
            self._graph = _Graph(self._network, mel, face)
        return self._graph(mel, face)[:frames]


class _Graph:
    """The kernels of the network for one batch size, recorded once."""

    def __init__(self, network: Any, mel: Any, face: Any) -> None:
        self._mel, self._face = mel.clone(), face.clone()
        aside = torch.cuda.Stream(mel.device)
        aside.wait_stream(torch.cuda.current_stream(mel.device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP_RUNS):
                network(self._mel, self._face)
        torch.cuda.current_stream(mel.device).wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(mel.device), torch.cuda.graph(self._graph):
            self._output = network(self._mel, self._face)

    def __call__(self, mel: Any, face: Any) -> Any:
        self._mel.copy_(mel)
        self._face.copy_(face)
        self._graph.replay()
        return self._output.clone()


def _filled(batch: Any, frames: int) -> Any:
    """Zeros follow the batch: a replay costs less than the kernels of another size launched one by one."""
    return torch.nn.functional.pad(batch, (0, 0, 0, 0, 0, 0, 0, frames - len(batch)))


def _exact_convolutions() -> AbstractContextManager[Any]:
    """Have cuDNN try its algorithms, and compute fp32 as fp32: TF32 keeps 10 bits of the 23."""
    flags: AbstractContextManager[Any] = torch.backends.cudnn.flags(
        enabled=True, benchmark=True, allow_tf32=False
    )
    return flags


def _open_device(device: str) -> Any:
    if device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise EngineUnavailable(
            f"torch {torch.__version__} finds no CUDA device: see that `nvidia-smi` lists one, then "
            f"{install_command('--force-reinstall', 'torch')} for its CUDA build; "
            "or set MOUTHPIECE_DEVICE=cpu."
        )
    index = cuda_index(device)
    if index >= torch.cuda.device_count():
        raise EngineUnavailable(
            f"There is no {device}: torch finds {torch.cuda.device_count()} CUDA devices, from cuda:0."
        )
    return torch.device("cuda", index)
