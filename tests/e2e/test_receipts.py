"""The receipt of a render over HTTP."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from tests.support.server import Server

Speech = Callable[[float], Path]


def test_a_render_has_a_report_and_a_sheet_once_it_is_finished(
    server: Server, anna: str, speech: Speech
) -> None:
    submitted = server.client.post(
        anna, files={"audio": speech(3.0).read_bytes()}, headers={"Prefer": "respond-async"}
    ).json()
    early = server.client.get(submitted["links"]["report"])
    assert early.status_code in (200, 409)
    job = server.outcome(submitted["id"])

    report = server.client.get(job["links"]["report"])
    assert report.headers["content-type"] == "application/json"
    told = report.json()
    assert told["length"] == {"sound": 3.0, "clip": 1.0, "video": 3.0, "audio": 3.0}
    assert (told["offset"], told["frames"]["total"]) == (0.0, 75)
    assert told["frames"]["passed"] == 0
    assert told["model"]["sha256"] == server.client.get("/v1/info").json()["model"]["sha256"]
    assert {"sound", "listen", "composite", "encode", "mux"} <= told["stage_seconds"].keys()
    sheet = server.client.get(job["links"]["sheet"])
    assert sheet.headers["content-type"] == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(sheet.content, np.uint8), cv2.IMREAD_COLOR) is not None
    for file in report, sheet:
        known = {"If-None-Match": file.headers["etag"]}
        assert server.client.get(file.url, headers=known).status_code == 304
    server.wait(lambda: server.files(job["id"]) == ["plan.json", "report.json", "result.mp4", "sheet.jpg"])

    assert server.client.delete(job["links"]["self"]).status_code == 204
    assert server.client.get(job["links"]["report"]).status_code == 404
