"""Loads checkpoints in the official layout: what training saves, or the bare state dict."""

import pickle
import zipfile
from pathlib import Path
from typing import Any, Final

import torch

from app.errors import InvalidModel
from app.wav2lip.network import STATE_ENTRIES, Wav2Lip

WEIGHT_BYTES: Final = 145_283_548
"""Size of the network's state dict in fp32; a checkpoint with optimizer state is three times as large."""

_PREFIX: Final = "module."
"""What training on several GPUs puts before every key."""

_MAGIC: Final = (b"PK\x03\x04", b"\x80\x02")
"""First bytes of checkpoints: a zip archive, and the pickle stream of torch before 1.6."""


def load_network(path: Path) -> Wav2Lip:
    """Load the checkpoint at ``path`` into the network, in evaluation mode, fp32, on the CPU.

    Every one of the 352 entries must be there, finite and of its shape, and no other; the keys may carry a
    ``module.`` prefix; the state dict may stand under ``state_dict`` or be the file itself. Nothing but
    tensors and plain containers is unpickled. Raises InvalidModel.
    """
    state = _state_dict(_read(path), path)
    with torch.device("meta"):  # shapes only: random initial weights would take longer than the file's
        network = Wav2Lip()
    _check(state, network.state_dict(), path)
    network.to_empty(device="cpu").load_state_dict(state)
    network.eval()
    network.requires_grad_(False)
    return network


def _read(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged or foreign file makes torch raise anything
        raise InvalidModel(f"{path} {_why_unreadable(path, error)} {_expected(path)}") from error


def _why_unreadable(path: Path, error: Exception) -> str:
    if zipfile.is_zipfile(path):
        members = {Path(name).name for name in zipfile.ZipFile(path).namelist()}
        if "constants.pkl" in members:
            return (
                "is a TorchScript archive, not a checkpoint: if you trust its source, convert it with "
                f"`torch.save(torch.jit.load('{path}').state_dict(), 'wav2lip.pth')`."
            )
        if "data.pkl" not in members:
            return "is a zip archive of something else, not a checkpoint."
    with path.open("rb") as file:
        if not file.read(4).startswith(_MAGIC):
            return "is not a PyTorch checkpoint."
    if isinstance(error, pickle.UnpicklingError) and "Weights only" in str(error):
        return "holds Python objects besides tensors, which are not loaded for safety."
    return "is truncated or damaged: download or copy it again."


def _state_dict(checkpoint: Any, path: Path) -> dict[str, Any]:
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict):
        raise InvalidModel(f"{path} holds no state dict. {_expected(path)}")
    entries = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    return {str(key).removeprefix(_PREFIX): value for key, value in entries.items()}


def _check(state: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    missing = [key for key in wanted if key not in state]
    foreign = [key for key in state if key not in wanted]
    if missing or foreign:
        raise InvalidModel(
            f"{path} is not a complete Wav2Lip checkpoint: {_counted(missing)} are missing, "
            f"{_counted(foreign)} are foreign. {_expected(path, state)}"
        )
    for key, tensor in state.items():
        if tensor.shape != wanted[key].shape:
            raise InvalidModel(
                f"{path} is a checkpoint of another network than Wav2Lip at 96x96: {key} should have the "
                f"shape {tuple(wanted[key].shape)} and has {tuple(tensor.shape)}."
            )
        if not torch.isfinite(tensor).all():
            raise InvalidModel(f"{path} is damaged: {key} holds values that are not finite numbers.")


def _counted(keys: list[str]) -> str:
    return f"{len(keys)} entries (the first: {keys[0]})" if keys else "none"


def _expected(path: Path, state: dict[str, Any] | None = None) -> str:
    found = "" if state is None else f"{len(state)} entries in "
    return (
        f"Expected {STATE_ENTRIES} entries, {WEIGHT_BYTES:,} bytes or more in fp32; "
        f"found {found}{path.stat().st_size:,} bytes."
    )
