"""Mouthpiece: a self-hosted service that makes a filmed person say new words."""

import os
import sys

__version__ = "0.2.0"
"""The one place where the version stands; ``scripts/release`` moves it."""

# Both engines tell their makers over the network that they are used, and ONNX Runtime with which model.
# Before they are loaded that can be prevented: OpenVINO asks for a package, ONNX Runtime for a variable.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# NumPy's matrices are small here: a second thread takes seven times the CPU time of the first (measured on
# the comparison of 48 mouths with 48), and waits for its turn on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# So are the pictures that OpenCV gets, and a render's frames are made beside their encoder: helpers that wait
# for work cost a tenth of the CPU time of laying a mouth at 1080p.
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
