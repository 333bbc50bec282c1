"""All of the API's description, our own and that of other services, tried with requests made up from it: the
service does not fail, and gives no status and no answer that is not described."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import running

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
LEAST = 3000
"""How many requests are made at least."""
HOOKS = """\
import schemathesis
from hypothesis import strategies

schemathesis.openapi.format("binary", strategies.text())
"""
"""Files are texts: of a field that may be bytes or a text it makes values that it then cannot check."""


@pytest.mark.slow
def test_requests_made_up_from_the_description_are_answered_as_it_says(tmp_path: Path) -> None:
    settings = {"COMPAT": "replicate,fal,sync,duix", "MAX_QUEUED": "1000000", "MAX_UPLOAD_BYTES": "1000000"}
    with running(tmp_path, **settings) as server:
        (tmp_path / "hooks.py").write_text(HOOKS)
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path)}
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
            *("--checks", ",".join(CHECKS), "--mode", "all", "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "30", "--seed", "1", "--generation-database", "none", "--no-color"),
        ]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stdout[-8000:]
        lines = [json.loads(line) for line in server.log.splitlines() if '"event": "request"' in line]
        statuses = [line["status"] for line in lines if line["path"] != "/readyz"]
        assert len(statuses) >= LEAST
        assert max(statuses) < 500
        assert server.client.get("/readyz").status_code == 200
