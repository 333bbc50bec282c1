"""Checkpoints: written atomically, and checked when they are read."""

import errno
from pathlib import Path
from typing import Any, Final

import torch

from app.errors import InvalidModel, InvalidRequest, ModelNotFound, StorageFull
from app.media.files import replacing

Checkpoint = dict[str, Any]
"""The state of a stage: plain containers, numbers, text and tensors, so that nothing needs unpickling."""

VERSION: Final = 1


def save_checkpoint(path: Path, content: Checkpoint) -> None:
    """Write ``content`` to ``path``; the file that was there survives unless the new one is complete.

    Raises StorageFull if the disk has no room.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save({"version": VERSION, **content}, file)
    except (OSError, RuntimeError) as error:  # torch wraps what the disk says in a RuntimeError
        if _is_disk_full(error):
            raise StorageFull(
                f"The disk has no room for the checkpoint {path}: free some; the last one was kept."
            ) from error
        raise


def load_checkpoint(path: Path, stage: str) -> Checkpoint:
    """Read the checkpoint of a ``stage``.

    Raises ModelNotFound if there is none, and InvalidModel if it is damaged or that of another stage.
    """
    if not path.is_file():
        raise ModelNotFound(f"There is no checkpoint {path}: train the stage {stage!r} first.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch raise anything
        raise InvalidModel(
            f"The checkpoint {path} is damaged or not one of this training ({type(error).__name__}): "
            "remove it to start over."
        ) from error
    found = content.get("stage") if isinstance(content, dict) else None
    if found != stage:
        raise InvalidModel(
            f"The checkpoint {path} is of the stage {found!r}, where one of {stage!r} is wanted."
        )
    checkpoint: Checkpoint = content
    return checkpoint


def refuse_checkpoint(path: Path, start: Path) -> None:
    """Raise InvalidRequest if there is a checkpoint ``path``, where a stage is to start from ``start``."""
    if path.is_file():
        raise InvalidRequest(
            f"The stage goes on from its checkpoint {path}, not from {start}: leave --from out, or remove "
            "the checkpoint to start over."
        )


def load_weights(module: Any, state: dict[str, Any], path: Path) -> None:
    """Put ``state`` into ``module``; raises InvalidModel if it is of another architecture."""
    wanted = module.state_dict()
    odd = [key for key in {*wanted, *state} if key not in wanted or key not in state]
    odd += [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    if odd:
        raise InvalidModel(
            f"The checkpoint {path} is of another architecture: {len(odd)} of {len(wanted)} entries differ, "
            f"among them {sorted(odd)[0]}; train it again, or use the version that wrote it."
        )
    module.load_state_dict(state)


def _is_disk_full(error: BaseException) -> bool:
    causes = [error, error.__cause__, error.__context__]
    codes = {cause.errno for cause in causes if isinstance(cause, OSError)}
    return bool(codes & {errno.ENOSPC, errno.EDQUOT})
