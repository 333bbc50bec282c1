import json
from collections.abc import Callable
from pathlib import Path

from tests.support.server import Server


def test_all_lines_about_a_job_carry_its_id_from_the_request_to_its_end(
    server: Server, anna: str, speech: Callable[[float], Path]
) -> None:
    answer = server.client.post(anna, files={"audio": speech(0.5).read_bytes()})
    job_id = answer.headers["content-location"].rsplit("/", 1)[1]

    def told() -> list[tuple[str, str]]:
        events = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        return [(event["event"], event["logger"]) for event in events if event.get("job") == job_id]

    server.wait(lambda: ("request", "app.api.metrics") in told())
    assert told() == [
        ("job_submitted", "app.api.submission"),
        ("job_started", "app.jobs.scheduler"),
        ("job_ended", "app.jobs.scheduler"),
        ("request", "app.api.metrics"),
    ]
