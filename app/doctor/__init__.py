"""What ``mouthpiece doctor`` checks: settings, the machine, packages, the model, volumes, the network."""

from collections.abc import Callable, Iterator

from app.doctor import files, machine, network
from app.doctor.finding import Finding
from app.doctor.names import names
from app.settings import Settings

__all__ = ["Finding", "examine"]


def examine(settings: Settings) -> list[Finding]:
    """Run all checks. None raises: an error becomes a finding with its message, and the others go on."""
    looks: list[Callable[[Settings], Iterator[Finding]]] = [
        names,
        machine.python,
        machine.processor,
        machine.cuda,
        machine.onnx_runtime,
        machine.codecs,
        files.model,
        files.volumes,
        files.avatars,
        machine.memory,
        machine.sandbox,
        network.port,
        network.cluster,
        network.database,
    ]
    return [finding for look in looks for finding in _safely(look, settings)]


def _safely(look: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from look(settings)
    except Exception as error:
        found = f"this could not be looked at: {type(error).__name__}: {error}"
        yield Finding(look.__name__, "problem", found)
