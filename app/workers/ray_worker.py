"""A worker on a machine of a Ray cluster: an actor that starts its process, and passes messages on.

Ray chooses the machine, and notices when it is lost. The process is that of a worker on one machine, in the
same sandbox: of Ray, its threads, sockets and token are not in it.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from subprocess import PIPE, Popen
from typing import Any, ClassVar, Final

import ray

from app.decoding.process import how_it_ended
from app.sandbox import without_secrets
from app.settings import SECRETS, Settings
from app.workers.messages import Message, from_line, to_line

OWN: Final = {"model", "models_dir", "avatars_dir", "data_dir", "frames_dir", "encoder_threads", "log_format"}
"""Settings that a machine may have otherwise than the service, by its own environment."""


class RayWorker:
    """One worker. It may be told something while it is heard."""

    command: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "app.workers.child")

    def __init__(self, start: Message) -> None:
        """Start the process. ``start`` is what it hears first, with the service's settings."""
        environment = without_secrets(os.environ)
        self._process = Popen(  # noqa: S603 - our own
            self.command, stdin=PIPE, stdout=PIPE, env=environment, start_new_session=True
        )
        settings = on_this_machine(start["settings"]).model_dump(mode="json", exclude=set(SECRETS))
        self.tell(dict(start) | {"settings": settings})

    def machine(self) -> str:
        """Return the id of Ray's node."""
        return ray.get_runtime_context().get_node_id()

    def hear(self) -> Iterator[Message]:
        """Yield what the process says: the answer to a call, or of its end, last."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            message = from_line(line)
            yield message
            if "told" not in message:
                return
        with self._process:
            how = how_it_ended(self._process.wait())
        yield {"gone": True, "died": how}

    def tell(self, message: Message) -> None:
        """Pass a message to the process."""
        assert self._process.stdin is not None
        self._process.stdin.write(to_line(message))
        self._process.stdin.flush()


def on_this_machine(settings: Mapping[str, Any]) -> Settings:
    """Return the service's settings, with those that this machine's environment has otherwise."""
    own = Settings()
    given = {name: getattr(own, name) for name in own.model_fields_set & OWN}
    return Settings.model_validate(dict(settings) | given)
