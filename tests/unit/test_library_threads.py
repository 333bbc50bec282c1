"""Libraries that would start threads of their own for small matrices and pictures leave that."""

import os
import subprocess
import sys

COUNT = "import app, cv2; print(cv2.getNumThreads())"


def threads(**variables: str) -> str:
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.check_output([sys.executable, "-c", COUNT], env=environment, text=True).strip()


def test_opencv_works_in_the_thread_that_calls_it() -> None:
    assert threads() == "1"


def test_an_operator_s_number_of_threads_is_kept() -> None:
    assert threads(OPENCV_FOR_THREADS_NUM="2") == "2"
