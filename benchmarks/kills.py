"""What is killed in a storm, in turn: parts of a service, on one machine or on a cluster."""

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import tests.support.ray_cluster  # noqa: F401 - before Ray is imported
from benchmarks.processes import descendants
from tests.support.ray_cluster import RayCluster, ray_cluster
from tests.support.server import Server

Kill = Callable[[], None]

MACHINES = 3


def on_one_machine(server: Server, restart: Kill) -> Iterator[Kill]:
    """Yield four times what decodes or renders, then the service itself, without end."""

    def worker() -> None:
        if below := descendants(server.pid)[1:]:
            _kill(below[next(count) % len(below)])

    count = itertools.count()
    return itertools.cycle([worker] * 4 + [restart])


def on_a_cluster(cluster: RayCluster, restart: Kill) -> Iterator[Kill]:
    """Yield a worker, a machine (another joins), the head (it comes back), the service, without end."""

    def worker() -> None:
        with suppress(ValueError):  # none is on that machine at the moment
            _kill(cluster.worker_pid(next(machines)))

    def machine() -> None:
        cluster.signal(cluster.machines.pop(0), signal.SIGKILL)
        cluster.machines.append(cluster.add())

    def head() -> None:
        cluster.kill_head()
        cluster.start_again(MACHINES)

    machines: Iterator[Any] = (cluster.machines[n % MACHINES] for n in itertools.count())
    return itertools.cycle([worker, machine, head, restart])


@contextmanager
def cluster_for(settings: dict[str, str]) -> Iterator[RayCluster]:
    """Run a cluster of three machines for as long as the block lasts, and have the settings name it."""
    with ray_cluster(MACHINES) as cluster:
        settings |= {"RAY_ADDRESS": cluster.address, "DEVICE": "cpu"}
        yield cluster


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
