"""Run the benchmark: ``python -m benchmarks``; ``--full`` runs the whole matrix (half an hour or more)."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from benchmarks import inputs, micro
from benchmarks.report import Report
from benchmarks.runs import Run, Series
from benchmarks.service import Service, service

DEFAULT, OFFICIAL, NAIVE = "ours, default model", "ours, official network", "naive, official network"
CLIP_SECONDS, LONG_CLIP_SECONDS = 8.0, 60.0

console = Console(width=None if sys.stdout.isatty() else 160)


def main() -> None:
    """Measure what the command line asks for, print the tables, write ``out/bench/report.json``."""
    wanted = _arguments()
    inputs.FOLDER.mkdir(parents=True, exist_ok=True)
    report = Report()
    has_torch = find_spec("torch") is not None
    if not has_torch:
        console.print("torch is not installed (extra 'export'): no naive pipeline, no official network.")
    if not wanted.no_micro:
        report.micro += micro.measure(official=has_torch, thorough=wanted.full)
    with ExitStack() as stack:
        services = _start(stack, report, official=has_torch)
        for height in wanted.heights:
            report.series += _registrations(services, height, wanted)
            for seconds in wanted.seconds:
                report.series += _renders(services, height, seconds, wanted.rounds)
        if wanted.full:
            for name, running in services.items():
                crowd = running.crowd(_avatar(720), inputs.speech(20), 20)
                report.crowds.append((name, crowd))
    report.print(console)
    path = inputs.FOLDER / "report.json"
    path.write_text(json.dumps(report.to_json(), indent=2) + "\n")
    console.print(f"\n{path}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="720p and 1080p, 20 s and 60 s, four at once")
    parser.add_argument("--rounds", type=int, help="rounds of each scenario [2; with --full 3]")
    parser.add_argument("--heights", type=int, nargs="+", help="of the clip [720; with --full 720 1080]")
    parser.add_argument("--seconds", type=float, nargs="+", help="of speech [8; with --full 20 60]")
    parser.add_argument("--no-micro", action="store_true", help="leave out the single parts")
    wanted = parser.parse_args()
    wanted.rounds = wanted.rounds or (3 if wanted.full else 2)
    wanted.heights = wanted.heights or ([720, 1080] if wanted.full else [720])
    wanted.seconds = wanted.seconds or ([20.0, 60.0] if wanted.full else [8.0])
    return wanted


def _start(stack: ExitStack, report: Report, *, official: bool) -> dict[str, Service]:
    """Start a service for each model twice: the first start may convert and compile, the second counts."""
    models: dict[str, Path | None] = {DEFAULT: None}
    if official:
        models[OFFICIAL] = inputs.checkpoint()
    services = {}
    for name, model in models.items():
        folder = name.rpartition(", ")[2].replace(" ", "-")
        with service(folder, model) as first:
            report.starts[f"{name}, first start"] = first.ready_seconds
        services[name] = stack.enter_context(service(folder, model))
        report.starts[f"{name}, second start"] = services[name].ready_seconds
    return services


def _registrations(services: dict[str, Service], height: int, wanted: argparse.Namespace) -> Iterator[Series]:
    seconds = LONG_CLIP_SECONDS if wanted.full else CLIP_SECONDS
    long = inputs.clip(height, seconds)
    made = Series(f"{height}p, registration of {seconds:g} s", DEFAULT)
    for _ in range(wanted.rounds):
        made.runs.append(services[DEFAULT].register("long", long, seconds))
    yield made
    for running in services.values():
        running.register(_avatar(height), inputs.clip(height, CLIP_SECONDS), CLIP_SECONDS)


def _renders(services: dict[str, Service], height: int, seconds: float, rounds: int) -> list[Series]:
    """Render with each pipeline in turn, round after round."""
    scenario, speech = f"{height}p, {seconds:g} s", inputs.speech(seconds)
    series = {name: Series(scenario, name) for name in services}
    if OFFICIAL in services:
        series[NAIVE] = Series(scenario, NAIVE)
    for running in services.values():
        running.render(_avatar(height), inputs.speech(1), 1)
    for round_number in range(rounds):
        console.print(f"{scenario}: round {round_number + 1} of {rounds}")
        for name, running in services.items():
            series[name].runs.append(running.render(_avatar(height), speech, seconds))
        if NAIVE in series:
            series[NAIVE].runs.append(_naive(services[OFFICIAL], height, speech))
    return list(series.values())


def _naive(official: Service, height: int, speech: Path) -> Run:
    folder = inputs.FOLDER / f"naive-{height}p"
    folder.mkdir(exist_ok=True)
    clip = inputs.clip(height, CLIP_SECONDS)
    boxes = official.server.avatars_dir / _avatar(height) / "coords.npy"
    command = [sys.executable, "-m", "benchmarks.naive"]
    arguments = [clip, boxes, speech, inputs.checkpoint(), folder]
    done = subprocess.run(
        [*command, *map(str, arguments)], check=True, stdout=subprocess.PIPE, cwd=inputs.ROOT, text=True
    )
    return Run(**json.loads(done.stdout))


def _avatar(height: int) -> str:
    return f"portrait-{height}p"


if __name__ == "__main__":
    main()
