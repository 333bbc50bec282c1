"""The environment variables of a process that opens untrusted media: what libraries read, and no secrets."""

import re
from collections.abc import Mapping
from typing import Final

_KEPT: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|TZ|TMPDIR|TERM|NO_COLOR|DO_NOT_TRACK|VIRTUAL_ENV"
    r"|(LC|PYTHON|LD|OMP|KMP|GOMP|MKL|OPENBLAS|NUMEXPR|TBB|OV|OPENVINO|ORT|ONNXRUNTIME|OPENCV|AV|MALLOC|GLIBC"
    r"|CUDA|CUDNN|NVIDIA|NCCL|TORCH|PYTORCH|TRT|XDG)_?[A-Z0-9_]*"
)
"""Names of variables, or their beginnings: of the system, of Python and of the libraries for numbers."""
_PINNING: Final = re.compile(r"OMP_PROC_BIND|OMP_PLACES|GOMP_CPU_AFFINITY|KMP_(AFFINITY|HW_SUBSET)")
"""What has OpenMP put its threads on certain cores: the sandbox refuses that, which ends the process."""
_SECRET: Final = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may be handed to a process which opens strangers' media.

    They must be chosen before it is started: what a process was given stays readable in its own memory. The
    service's own settings are not among them; they come to the process in another way, without the keys.
    """
    return {
        name: value
        for name, value in environ.items()
        if _KEPT.fullmatch(name) and not _SECRET.search(name) and not _PINNING.fullmatch(name)
    }
