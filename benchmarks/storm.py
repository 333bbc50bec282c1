"""Everything at once: many clients, good, bad and hostile files, kills, and a volume that fills and empties.

``python -m benchmarks.storm [minutes] [clients] [--cluster] [--only-kills]``, as root on Linux (it mounts a
volume). It prints what the service's processes hold and how fast ``/livez`` answers, and ends with 1 if a job
was lost or made twice, a finished video differs from one that was rendered in quiet, or an answer was 500
without a reason.
"""

import argparse
import contextlib
import multiprocessing
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from benchmarks.kills import Kill, cluster_for, on_a_cluster, on_one_machine
from benchmarks.soak import Held
from tests.support import bombs, clips
from tests.support.server import Server
from tests.support.volumes import volume

console = Console()

VOLUME_MEGABYTES: Final = 700
KILL_SECONDS: Final = 20
FULL_EVERY, FULL_FOR = 90, 12
"""How often, and how long, the volume is full, seconds."""
LIVE_SECONDS: Final = 0.2
LOOK_SECONDS: Final = 30
QUIET_SECONDS: Final = 1800
"""How long what was accepted may take to end once clients have stopped."""
ENDED: Final = {"succeeded", "failed", "canceled"}
FORESEEN: Final = {
    "storage-full",
    "queue-full",
    "too-busy",
    "shutting-down",
    "not-ready",
    "render-process-crashed",
    "avatar-deleted",
}
"""What a good request may get in such weather."""
_PROCESSES: Final = multiprocessing.get_context("spawn")


@dataclass
class Tally:
    """What clients saw."""

    answers: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, str] = field(default_factory=dict)
    """What was sent, by the job's id."""
    deleted: set[str] = field(default_factory=set)
    """Jobs that a client wanted deleted: one that has ended by then is forgotten, others are canceled."""
    lost_answers: int = 0
    """Requests whose connection broke: a job may have come of them."""
    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    live: list[float] = field(default_factory=list)


class Storm:
    """One service, and all that befalls it."""

    def __init__(
        self, server: Server, clients: int, kills: Callable[[Kill], Iterator[Kill]], *, only_kills: bool
    ) -> None:
        """``kills`` gets what restarts the service; ``only_kills``: no bad files, and no full volume."""
        self._server = server
        self._clients = clients
        self._kills = kills(self._restart)
        self._only_kills = only_kills
        self._restarts = 0
        self._over = _PROCESSES.Event()
        self._up = _PROCESSES.Event()
        self.tally = Tally()
        media = server.root / "media"
        media.mkdir()
        self._clip = clips.talking_head(media / "head.mp4", 1.0).read_bytes()
        self._speech = clips.speech(media / "words.wav", 1.5).read_bytes()
        self._long = clips.speech(media / "long.wav", 40.0).read_bytes()
        self._hostile = [make(media).read_bytes() for make in bombs.SOUNDS]
        self._quiet: dict[str, bytes] = {}
        self._stream = b""

    def run(self, minutes: float) -> list[str]:
        """Let it rage; return what went wrong."""
        server = self._server
        server.start(wait=False)
        server.wait(self._is_ready, 600)
        self._up.set()
        self._post("/v1/avatars", {"video": self._clip}, data={"id": "anna"}).raise_for_status()
        for name, audio in (("speech", self._speech), ("long", self._long)):
            self._quiet[name] = self._post("/v1/avatars/anna/renders", {"audio": audio}).content
        streamed = {"stream": "true"}
        self._stream = self._post(
            "/v1/avatars/anna/renders", {"audio": self._speech}, params=streamed
        ).content
        jobs = server.client.get("/v1/jobs", params={"limit": 100}).json()["jobs"]
        before = {job["id"] for job in jobs}
        deeds: list[Callable[[], None]] = [self._client] * self._clients + [self._look]
        deeds += [] if self._only_kills else [self._fill]
        threads = [threading.Thread(target=deed, daemon=True) for deed in deeds]
        for thread in threads:
            thread.start()
        heard, tells = _PROCESSES.Pipe(duplex=False)
        prober = _PROCESSES.Process(target=_live, args=(server.url, self._up, self._over, tells))
        prober.start()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            time.sleep(KILL_SECONDS)
            kill = next(self._kills)  # not in a thread: Ray starts machines in this one only
            kill()
            self.tally.kills[kill.__name__.strip("_")] += 1
        self._over.set()
        self.tally.live = heard.recv()
        prober.join()
        for thread in threads:
            thread.join()
        try:
            return self._judge(before)
        finally:
            server.stop()

    def _judge(self, before: set[str]) -> list[str]:
        """Wait until all is quiet, and look at every job."""
        client, tally = self._server.client, self.tally
        self._server.wait(lambda: not self._open_jobs(), QUIET_SECONDS)
        found = {job["id"]: job for job in self._all_jobs() if job["id"] not in before}
        there = found.keys() | before | tally.deleted
        tally.wrong += [f"lost: {job_id}" for job_id in tally.accepted.keys() - there]
        unasked = found.keys() - tally.accepted.keys()
        if len(unasked) > tally.lost_answers:
            tally.wrong.append(
                f"{len(unasked)} jobs that nobody asked for, {tally.lost_answers} lost answers"
            )
        states: Counter[str] = Counter()
        for job_id, job in found.items():
            what = tally.accepted.get(job_id, "")
            code = job["error"]["type"].rpartition(":")[2] if job["error"] else ""
            states[f"{what or 'unasked'} {job['state']} {code}"] += 1
            if job["state"] == "failed" and what in ("speech", "long", "clip") and code not in FORESEEN:
                tally.wrong.append(f"{what}: {job['error']}")
            if job["state"] == "succeeded" and what in self._quiet:
                video = client.get(f"/v1/jobs/{job_id}/video").content
                if video != self._quiet[what]:
                    tally.wrong.append(f"{job_id} differs from a quiet run")
        console.print(dict(states))
        return tally.wrong

    # What clients do.

    def _client(self) -> None:
        dice = random.Random(threading.get_ident())
        ways = [self._whole] * 3 + [self._later] * 3 + [self._streamed] * 2
        ways += [self._canceled, self._abandoned, self._registered, self._listed]
        ways += [] if self._only_kills else [self._refused, self._bomb]
        while not self._over.is_set():
            self._up.wait(1)
            try:
                dice.choice(ways)(dice)
            except httpx.HTTPError:
                self.tally.lost_answers += 1
            time.sleep(dice.random() * 2)

    def _post(self, path: str, files: dict[str, bytes], *, what: str = "", **more: object) -> httpx.Response:
        """Post files; note the job that came of it, and what was answered."""
        with httpx.Client(base_url=self._server.url, timeout=300) as client:
            answer = client.post(path, files=files, **more)  # type: ignore[arg-type]
        self._note(answer, what)
        return answer

    def _note(self, answer: httpx.Response, what: str) -> None:
        code = "" if answer.is_success else answer.json()["type"].rpartition(":")[2]
        self.tally.answers[f"{what} {answer.status_code} {code}"] += 1
        location = answer.headers.get("Content-Location", "")
        if "/v1/jobs/" in location:
            self.tally.accepted[location.removeprefix("/v1/jobs/").removesuffix("/video")] = what
        if answer.status_code == 500 and code not in FORESEEN:
            self.tally.wrong.append(f"{what}: {answer.text}")

    def _render(self, what: str, audio: bytes, **more: object) -> httpx.Response:
        return self._post("/v1/avatars/anna/renders", {"audio": audio}, what=what, **more)

    def _whole(self, _: random.Random) -> None:
        answer = self._render("speech", self._speech)
        if answer.status_code == 200 and answer.content != self._quiet["speech"]:
            self.tally.wrong.append("an answer differs from a quiet run")

    def _later(self, dice: random.Random) -> None:
        what = dice.choice(("speech", "speech", "long"))
        audio = self._long if what == "long" else self._speech
        answer = self._render(what, audio, headers={"Prefer": "respond-async"})
        if answer.status_code == 202:
            with httpx.Client(base_url=self._server.url, timeout=300) as client:
                client.get(f"/v1/jobs/{answer.json()['id']}/events")

    def _streamed(self, _: random.Random) -> None:
        answer = self._render("speech", self._speech, params={"stream": "true"})
        if answer.status_code == 200 and answer.content != self._stream:
            self.tally.wrong.append("a stream differs from a quiet run")

    def _canceled(self, dice: random.Random) -> None:
        answer = self._render("canceled", self._long, headers={"Prefer": "respond-async"})
        if answer.status_code == 202:
            time.sleep(3 * dice.random())
            job_id = answer.json()["id"]
            self.tally.deleted.add(job_id)
            with httpx.Client(base_url=self._server.url, timeout=60) as client:
                client.delete(f"/v1/jobs/{job_id}")

    def _abandoned(self, _: random.Random) -> None:
        files, url = {"audio": self._speech}, f"{self._server.url}/v1/avatars/anna/renders?stream=true"
        with httpx.stream("POST", url, files=files, timeout=300) as answer:
            if answer.is_success:
                self._note(answer, "abandoned")
                next(answer.iter_raw(), None)

    def _refused(self, dice: random.Random) -> None:
        junk = dice.randbytes(2000)
        self._render("junk", junk)
        self._post("/v1/avatars", {"video": junk}, what="junk")

    def _bomb(self, dice: random.Random) -> None:
        bomb = dice.choice(self._hostile)
        self._render("hostile", bomb)
        self._post("/v1/avatars", {"video": bomb}, what="hostile")

    def _registered(self, dice: random.Random) -> None:
        name = f"n-{dice.getrandbits(40):x}"
        answer = self._post("/v1/avatars", {"video": self._clip}, what="clip", data={"id": name})
        if answer.status_code == 201:
            with httpx.Client(base_url=self._server.url, timeout=60) as client:
                client.delete(f"/v1/avatars/{name}")

    def _listed(self, _: random.Random) -> None:
        with httpx.Client(base_url=self._server.url, timeout=60) as client:
            for path in ("/v1/avatars", "/v1/jobs", "/metrics", "/v1/info", "/readyz"):
                self.tally.answers[f"{path} {client.get(path).status_code}"] += 1

    # What befalls the service.

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            if self._up.is_set():
                with contextlib.suppress(OSError):
                    console.print(Held.by(self._server, len(self.tally.accepted)))

    def _restart(self) -> None:
        self._up.clear()
        self._restarts += 1
        self._server.kill() if self._restarts % 2 else self._server.stop()
        self._server.start(wait=False)
        self._server.wait(self._comes_back, 600)
        self._up.set()

    def _fill(self) -> None:
        filler = self._server.root / "filler"
        while not self._over.wait(FULL_EVERY):
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(1 << 20))
            self._over.wait(FULL_FOR)
            filler.unlink(missing_ok=True)

    def _comes_back(self) -> bool:
        """Whether it answers; if it could not start, on a full volume, it is started again."""
        if self._server.has_ended:
            self._server.start(wait=False)
        return self._is_live()

    def _is_live(self) -> bool:
        return self._is_well("/livez")

    def _is_ready(self) -> bool:
        return self._is_well("/readyz")

    def _is_well(self, path: str) -> bool:
        try:
            return self._server.client.get(path).is_success
        except httpx.HTTPError:
            return False

    def _open_jobs(self) -> bool:
        return any(job["state"] not in ENDED for job in self._all_jobs())

    def _all_jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            params = {"limit": 100} | ({"cursor": cursor} if cursor else {})
            page = self._server.client.get("/v1/jobs", params=params).raise_for_status().json()
            found += page["jobs"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found


def _live(url: str, up: Event, over: Event, tells: Connection) -> None:
    """Tell how long each ``/livez`` took, seconds, once the storm is over.

    A process of its own: what fifty clients in one interpreter wait for each other is not the service's.
    """
    took: list[float] = []
    with httpx.Client(base_url=url, timeout=30) as client:
        while not over.wait(LIVE_SECONDS):
            if up.is_set():
                started = time.perf_counter()
                with contextlib.suppress(httpx.HTTPError):
                    client.get("/livez")
                    took.append(time.perf_counter() - started)
    tells.send(took)


def main() -> int:
    """Raise a storm; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.storm")
    parser.add_argument("minutes", type=float, nargs="?", default=30)
    parser.add_argument("clients", type=int, nargs="?", default=50)
    parser.add_argument("--cluster", action="store_true", help="on a Ray cluster of three machines")
    parser.add_argument("--only-kills", action="store_true", help="no bad files, and no full volume")
    wanted = parser.parse_args()
    settings = {"LOG_LEVEL": "warning", "MAX_QUEUED": "200", "JOB_TTL": "86400"}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        root = Path(name)
        if not wanted.only_kills:
            root = stack.enter_context(volume(root / "v", VOLUME_MEGABYTES))
        cluster = stack.enter_context(cluster_for(settings)) if wanted.cluster else None
        server = Server(root, settings)
        kills = partial(on_a_cluster, cluster) if cluster else partial(on_one_machine, server)
        storm = Storm(server, wanted.clients, kills, only_kills=wanted.only_kills)
        wrong = storm.run(wanted.minutes)
        _print(storm.tally)
        (Path(tempfile.gettempdir()) / "storm.log").write_text((root / "log").read_text())
    return 1 if wrong else 0


def _print(tally: Tally) -> None:
    console.print(dict(sorted(tally.answers.items())), "killed:", dict(tally.kills))
    live = sorted(tally.live)
    console.print(
        f"{len(tally.accepted)} jobs, {tally.lost_answers} lost answers; /livez {len(live)} times: "
        f"median {1000 * statistics.median(live):.0f} ms, p99 {1000 * live[int(0.99 * len(live))]:.0f} ms, "
        f"longest {1000 * live[-1]:.0f} ms; wrong: {tally.wrong or 'nothing'}"
    )


if __name__ == "__main__":
    sys.exit(main())
