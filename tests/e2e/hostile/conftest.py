from collections.abc import Iterator

import pytest

from tests.e2e.hostile.sending import leftovers
from tests.support.server import Server


@pytest.fixture(autouse=True)
def nothing_is_left_behind(server: Server) -> Iterator[None]:
    """Each request gets its problem, and leaves the service as it was."""
    render_pid, before = server.render_pid, {path.name for path in server.avatars_dir.glob("*")}
    yield
    server.wait(lambda: not leftovers(server))
    assert {path.name for path in server.avatars_dir.glob("*")} == before
    assert server.render_pid == render_pid
    assert server.client.get("/readyz").status_code == 200
