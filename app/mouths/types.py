"""Arrays with a row for every frame of footage."""

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
"""bool (n,): one for every frame."""

Numbers = npt.NDArray[np.float64]
"""float64 (n,) or (n, k): numbers of every frame."""
