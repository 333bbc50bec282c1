"""Work that ends when the client of its request disconnects: uvicorn ends nothing by itself."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from anyio import CancelScope, create_task_group
from starlette.types import Receive


@asynccontextmanager
async def cancel_on_disconnect(receive: Receive) -> AsyncGenerator[None]:
    """Cancel the block, and go on behind it, when the client goes; its body must have been read.

    What the block raises, it raises as it is.
    """
    failure: Exception | None = None
    async with create_task_group() as group:
        group.start_soon(_until_gone, receive, group.cancel_scope)
        try:
            yield
        except Exception as error:  # the group would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _until_gone(receive: Receive, scope: CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
