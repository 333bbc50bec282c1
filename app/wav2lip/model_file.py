"""What can be said about a model file without loading it."""

from pathlib import Path

from app.errors import InvalidModel, ModelNotFound

_HEAD_BYTES = 512


def check_model_file(path: Path) -> None:
    """Raise ModelNotFound if there is no file, InvalidModel if its first bytes are no model's."""
    if not path.is_file():
        raise ModelNotFound(
            f"There is no model file at {path}: set MOUTHPIECE_MODEL to a .pth or .onnx file."
        )
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).lstrip().lower()
    except OSError as error:
        raise InvalidModel(
            f"{path} cannot be read ({error.strerror}): make it readable for this user."
        ) from error
    if not head:
        raise InvalidModel(f"{path} is empty: download or export the model again.")
    if head.startswith(b"version https://git-lfs"):
        raise InvalidModel(
            f"{path} is a Git LFS pointer of {path.stat().st_size} bytes, not the model itself: "
            "run `git lfs pull` where it came from, or download the file it points to."
        )
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise InvalidModel(
            f"{path} is a web page, not a model (a download page was saved in its place): "
            "open the link in a browser and download the file itself."
        )
