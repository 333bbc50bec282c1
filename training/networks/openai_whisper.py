"""From a checkpoint of Whisper, as OpenAI publishes it, to the .npz of its encoder."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from app.errors import InvalidModel, ModelNotFound
from app.media.files import replacing

Arrays = dict[str, npt.NDArray[Any]]

_ENCODER: Final = "encoder."
_PARTS: Final = {
    "self_attention/layer_norm": "attn_ln",
    "self_attention/linear_1": "attn.out",
    "ffn/layer_norm": "mlp_ln",
    "ffn/linear_0": "mlp.0",
    "ffn/linear_1": "mlp.2",
}
"""CTranslate2's names of a layer's parts, and OpenAI's (https://github.com/openai/whisper, model.py)."""


def convert_encoder(checkpoint: Path, output: Path) -> None:
    """Write the encoder of ``checkpoint``, such as ``tiny.en.pt``, with arrays named as CTranslate2 does.

    Raises ModelNotFound if there is no such file, InvalidModel if it is of another kind.
    """
    if not checkpoint.is_file():
        raise ModelNotFound(f"There is no checkpoint of Whisper at {checkpoint}.")
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["model_state_dict"]
        arrays = _arrays({name: tensor.numpy() for name, tensor in state.items()})
    except Exception as error:  # a damaged file makes torch raise anything
        raise InvalidModel(
            f"{checkpoint} is no checkpoint of Whisper ({type(error).__name__}): give OpenAI's tiny.en.pt."
        ) from error
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as temporary, temporary.open("wb") as file:
        np.savez(file, **{f"encoder/{name}": arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]


def _arrays(state: Arrays) -> Arrays:
    own = {name.removeprefix(_ENCODER): array for name, array in state.items() if name.startswith(_ENCODER)}
    arrays = {"position_encodings/encodings": own["positional_embedding"]}
    for place, source in (("conv1", "conv1"), ("conv2", "conv2"), ("layer_norm", "ln_post")):
        arrays |= _pair(own, place, source)
    numbers = {name.split(".")[1] for name in own if name.startswith("blocks.")}
    if not numbers:
        raise KeyError("blocks.0")
    for number in numbers:
        layer, block = f"layer_{number}", f"blocks.{number}"
        for place, source in _PARTS.items():
            arrays |= _pair(own, f"{layer}/{place}", f"{block}.{source}")
        weights = [own[f"{block}.attn.{part}.weight"] for part in ("query", "key", "value")]
        query, value = (own[f"{block}.attn.{part}.bias"] for part in ("query", "value"))
        arrays[f"{layer}/self_attention/linear_0/weight"] = np.concatenate(weights)
        arrays[f"{layer}/self_attention/linear_0/bias"] = np.concatenate(
            [query, 0 * query, value]
        )  # keys have none
    return arrays


def _pair(own: Arrays, place: str, source: str) -> Arrays:
    """Return weight and bias of one part under their new names."""
    kinds = ("gamma", "beta") if place.endswith("norm") else ("weight", "bias")
    return {
        f"{place}/{kind}": own[f"{source}.{old}"] for kind, old in zip(kinds, ("weight", "bias"), strict=True)
    }
