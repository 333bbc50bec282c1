"""A self-hosted service tells nobody that it runs."""

import os
import subprocess
import sys
from pathlib import Path

LOAD_ENGINES = "import app, openvino, onnxruntime"


def test_the_engines_do_not_set_up_the_identity_under_which_they_report_to_their_makers(
    tmp_path: Path,
) -> None:
    without_ci = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}  # on CI machines they are silent anyway
    subprocess.run([sys.executable, "-c", LOAD_ENGINES], env=without_ci, check=True)
    assert list(tmp_path.rglob("*")) == []
