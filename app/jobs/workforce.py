"""Who does the work, as the web process sees it: a render process of its own, or workers on many machines."""

from collections.abc import Mapping
from typing import Any, Protocol


class Workforce(Protocol):
    """Whoever does the work."""

    @property
    def model(self) -> Mapping[str, Any] | None:
        """What is loaded; None until that is known."""

    @property
    def ready(self) -> bool:
        """Whether somebody is ready for work now."""

    @property
    def restarts(self) -> int:
        """How often a process was started in place of a dead one."""

    def check_usable(self) -> None:
        """Raise ``NotReady`` if jobs would wait for ever because the model cannot be loaded."""

    def check_ready(self) -> None:
        """Raise ``NotReady``, with the reason, unless a job that is submitted now would be begun soon."""

    async def start(self) -> None:
        """Begin, without waiting for the model."""

    async def stop(self) -> None:
        """End; jobs that are not done go on later."""
