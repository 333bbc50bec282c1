"""Commands that run the service, and machines that work for it."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.console import AvatarsDirOption, DeviceOption, ModelOption, settings_of


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one. [8000]")
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    avatars_dir: AvatarsDirOption = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for jobs, uploads and results.")] = None,
) -> None:
    """Run the HTTP service. Its documentation is at /docs.

    /readyz reports when the model is loaded and warm. Ctrl-C stops the service; queued and running jobs
    continue after the next start.
    """
    from app.main import serve as run

    run(
        settings_of(
            host=host, port=port, model=model, device=device, avatars_dir=avatars_dir, data_dir=data_dir
        )
    )


def worker(
    device: DeviceOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers where the CPU computes; each GPU has one. [1]")
    ] = None,
) -> None:
    """Add this machine to a Ray cluster until it is told to stop.

    Like 'ray start'. Needs the extra 'cluster', MOUTHPIECE_RAY_ADDRESS, the head's RAY_AUTH_TOKEN, and the
    service's avatars and data folders. SIGTERM stops it; other machines take over its work.
    """
    from app.workers.join import join

    join(settings_of(device=device, workers=workers))


def head() -> None:
    """Run the head of a Ray cluster on this machine.

    Like 'ray start --head --block'. Listens on the port of MOUTHPIECE_RAY_ADDRESS; needs RAY_AUTH_TOKEN. Ends
    when one of Ray's processes does: have it started again then. The service, 'mouthpiece serve', runs beside
    it.
    """
    from app.workers.join import start_head

    start_head(settings_of())
