import subprocess
import sys

HEAVY = ("numpy", "av", "cv2", "openvino", "librosa", "scipy", "torch", "onnxruntime")


def test_the_web_process_can_neither_decode_nor_load_a_model() -> None:
    script = f"import app.main, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
