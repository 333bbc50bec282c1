"""Runs checkpoints with torch: built for CUDA, correct on a CPU.

Batch norms are folded into the convolutions, and the layout is channels-last, that of the tensor cores. On
CUDA the kernels of a full batch are recorded once as a graph and replayed, which makes launching them free.
A render's pictures travel as bytes, through page-locked memory, and the device does the arithmetic around
the network. They are not kept there from one loop of the avatar to the next: 55 KB a frame take 6 us over
PCIe.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from app.errors import EngineUnavailable
from app.extras import install_command
from app.wav2lip.arrays import FaceBatch, FaceCrops, FaceOutput, MelBatch, MelWindows
from app.wav2lip.checkpoint import load_network
from app.wav2lip.devices import cuda_index
from app.wav2lip.engine import DEFAULT_FACE_SIZE, DType
from app.wav2lip.lower_rows import FIRST_ROW, LowerRows

_CPU_BATCH: Final = 8
_CUDA_BATCH: Final = 32

_DTYPES: Final[dict[DType, torch.dtype]] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}

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
        self._network = wanted.to(self._device, _DTYPES[self.dtype], memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self._pixels = _PixelNetwork(self._network, self.first_row, _DTYPES[self.dtype])
        self._graphs: dict[nn.Module, _Graph] = {}

    def infer(self, mel: MelBatch, face: FaceBatch) -> FaceOutput:
        """Return the faces that say ``mel``."""
        mel, face = np.require(mel, requirements="W"), np.require(face, requirements="W")
        output: FaceOutput = self.infer_tensors(torch.from_numpy(mel), torch.from_numpy(face)).cpu().numpy()
        return output

    def infer_tensors(self, mel: Tensor, face: Tensor) -> Tensor:
        """Return the faces (B, 3, S, S), float32 on the engine's device, that say ``mel``: torch tensors."""
        with torch.no_grad(), _exact_convolutions():
            parts = zip(mel.split(self.batch_size), face.split(self.batch_size), strict=True)
            batches = ([self._take(batch) for batch in part] for part in parts)
            return torch.cat([self._run(self._network, *batch).float() for batch in batches])

    def infer_pixels(self, windows: MelWindows, crops: FaceCrops, references: FaceCrops) -> FaceCrops:
        """Return the lower halves (n, S - S // 2, S, 3) of ``crops`` that say ``windows``."""
        inputs = [self._sent(array) for array in (windows[:, None], crops, references)]
        with torch.no_grad(), _exact_convolutions():
            parts = zip(*(batch.split(self.batch_size) for batch in inputs), strict=True)
            made = torch.cat([self._run(self._pixels, *part) for part in parts])
        pixels: FaceCrops = self._received(made).numpy()
        return pixels

    def _sent(self, array: npt.NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        return tensor.pin_memory().to(self._device, non_blocking=True) if self._on_cuda else tensor

    def _received(self, tensor: Tensor) -> Tensor:
        if not self._on_cuda:
            return tensor
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        host.copy_(tensor, non_blocking=True)
        torch.cuda.current_stream(self._device).synchronize()
        return host

    def _take(self, batch: Tensor) -> Tensor:
        batch = batch.to(self._device, _DTYPES[self.dtype])
        return batch.contiguous(memory_format=torch.channels_last)

    def _run(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Run ``module`` on a batch; on CUDA by the graph that was recorded at its first one."""
        if not self._on_cuda:
            made: Tensor = module(*inputs)
            return made
        frames = len(inputs[0])
        inputs = tuple(_filled(batch, self.batch_size) for batch in inputs)
        if module not in self._graphs:
            self._graphs[module] = _Graph(module, *inputs)
        return self._graphs[module](*inputs)[:frames]


class _PixelNetwork(nn.Module):
    """The network from pixels to pixels."""

    def __init__(self, network: nn.Module, first_row: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.first_row, self.dtype = network, first_row, dtype

    def forward(self, mel: Tensor, crops: Tensor, references: Tensor) -> Tensor:
        """Return lower halves, uint8 (B, S - S // 2, S, 3), for uint8 faces (B, S, S, 3)."""
        half = crops.shape[1] // 2
        face = torch.cat([crops, references], 3).permute(0, 3, 1, 2).float() * (1 / 255)
        face[:, :3, half:] = 0
        made: Tensor = self.network(
            mel.to(self.dtype), face.to(self.dtype, memory_format=torch.channels_last)
        )
        lower = made[:, :, half - self.first_row :].float() * 255 + 0.5
        return lower.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


class _Graph:
    """The kernels of a module for one batch size, recorded once."""

    def __init__(self, module: nn.Module, *inputs: Tensor) -> None:
        self._inputs = [batch.clone() for batch in inputs]
        device = self._inputs[0].device
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP_RUNS):
                module(*self._inputs)
        torch.cuda.current_stream(device).wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.cuda.graph(self._graph):
            self._output: Tensor = module(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        for static, batch in zip(self._inputs, inputs, strict=True):
            static.copy_(batch)
        self._graph.replay()
        return self._output.clone()


def _filled(batch: Tensor, frames: int) -> Tensor:
    """Zeros follow the batch: a replay costs less than the kernels of another size launched one by one."""
    return torch.nn.functional.pad(batch, (0, 0, 0, 0, 0, 0, 0, frames - len(batch)))


def _exact_convolutions() -> AbstractContextManager[Any]:
    """Have cuDNN try its algorithms, and compute fp32 as fp32: TF32 keeps 10 bits of the 23."""
    flags: AbstractContextManager[Any] = torch.backends.cudnn.flags(
        enabled=True, benchmark=True, allow_tf32=False
    )
    return flags


def _open_device(device: str) -> torch.device:
    if device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise EngineUnavailable(
            f"torch {torch.__version__} finds no CUDA device: make sure that `nvidia-smi` lists one, then "
            f"run `{install_command('--force-reinstall', 'torch')}` for its CUDA build; "
            "or set MOUTHPIECE_DEVICE=cpu."
        )
    index = cuda_index(device)
    if index >= torch.cuda.device_count():
        raise EngineUnavailable(
            f"There is no {device}: torch finds {torch.cuda.device_count()} CUDA devices, from cuda:0."
        )
    return torch.device("cuda", index)
