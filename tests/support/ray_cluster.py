"""A Ray cluster of several machines, as far as one can be: all on this one, from wheels, in seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.support.ports import free_port
from tests.support.processes import tree

TOKEN: Final = "0123456789abcdef" * 4
HEALTH: Final = {"period_ms": 500, "timeout_ms": 500, "failure_threshold": 3, "initial_delay_ms": 500}
STORE: Final = 80 << 20
TRIES: Final = 3
PREEMPTION: Final = 2
"""Ray's reason to drain a machine that cannot be refused."""
ENVIRONMENT: Final = {f"RAY_health_check_{name}": str(value) for name, value in HEALTH.items()} | {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "RAY_USAGE_STATS_ENABLED": "0",
}
os.environ.update(ENVIRONMENT)  # before Ray is imported, which reads it then


class RayCluster:
    """A head without devices, and machines with one CPU worker each that can be killed or silenced."""

    def __init__(self, machines: int) -> None:
        self._port = free_port()
        self.start_again(machines)

    @property
    def address(self) -> str:
        """Where the head listens."""
        address: str = self._cluster.address
        return address

    def start_again(self, machines: int) -> None:
        """Start the head and so many machines."""
        from ray.cluster_utils import Cluster

        head = {
            "num_cpus": 0,
            "object_store_memory": STORE,
            "include_dashboard": False,
            "include_log_monitor": False,
            "no_monitor": True,
            "gcs_server_port": self._port,
        }
        self._cluster = self._started(lambda: Cluster(initialize_head=True, head_node_args=head))
        self.machines = [self.add() for _ in range(machines)]

    def kill_head(self) -> None:
        """Kill the head, with which its cluster ends."""
        for machine in self._cluster.list_all_nodes():
            self.signal(machine, signal.SIGKILL)

    def add(self) -> Any:
        """Start one more machine."""
        return self._started(lambda: self._cluster.add_node(num_cpus=1, object_store_memory=STORE))

    def _started(self, start: Callable[[], Any]) -> Any:
        """Start something of Ray's, again where this machine was too busy for Ray's limit of 30 s."""
        for _ in range(TRIES - 1):
            before = set(tree(os.getpid()))
            try:
                return start()
            except Exception:  # Ray raises no other class
                for pid in set(tree(os.getpid())) - before:
                    if f"{self._port}".encode() in _command(pid):
                        os.kill(pid, signal.SIGKILL)
        return start()

    def signal(self, machine: Any, number: int) -> None:
        """Send a signal to all processes of a machine."""
        for infos in list(machine.all_processes.values()):
            for info in infos:
                for pid in tree(info.process.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)

    def drain(self, machine: Any) -> None:
        """Have a machine leave once it has nothing to do, as SIGTERM to ``ray start`` does."""
        deadline = 1000 * (int(time.time()) + 60)
        accepted, _ = machine.get_gcs_client().drain_node(machine._node_id, PREEMPTION, "drained", deadline)
        assert accepted

    def worker_pid(self, machine: Any) -> int:
        """Return the process of a machine's worker; raises ValueError if there is none now."""
        every = {
            pid for infos in machine.all_processes.values() for i in infos for pid in tree(i.process.pid)
        }
        (found,) = [pid for pid in every if b"app.workers.child" in _command(pid)]
        return found

    def stop(self) -> None:
        """End everything."""
        for machine in self._cluster.list_all_nodes():
            self.signal(machine, signal.SIGCONT)
        self._cluster.shutdown()


def _command(pid: int) -> bytes:
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_bytes() if path.exists() else b""


@contextmanager
def ray_cluster(machines: int) -> Iterator[RayCluster]:
    """Run a cluster for as long as the block lasts."""
    cluster = RayCluster(machines)
    try:
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def growing_cluster(most: int) -> Iterator[str]:
    """Run a head whose autoscaler, Ray's own, starts up to so many machines of a CPU; yield its address."""
    from ray.autoscaler._private.fake_multi_node import node_provider

    address, head = f"127.0.0.1:{free_port()}", node_provider.FAKE_HEAD_NODE_ID
    config = {
        "cluster_name": "here",
        "max_workers": most,
        "idle_timeout_minutes": 0.1,
        "upscaling_speed": most,
        "provider": {
            "type": "external",
            "module": f"{node_provider.__name__}.FakeMultiNodeProvider",
            "disable_node_updaters": True,
            "gcs_address": address,
            "head_node_id": head,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "machine": {
                "resources": {"CPU": 1, "object_store_memory": STORE},
                "node_config": {},
                "min_workers": 1,
                "max_workers": most,
            },
        },
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{f"{where}setup_commands": [] for where in ("", "head_", "worker_")},
        **{f"{where}start_ray_commands": [] for where in ("head_", "worker_")},
        "initialization_commands": [],
    }
    # Ray's own patience for machines that are silent: they start on one that has much else to do.
    environment = {key: value for key, value in os.environ.items() if "health_check" not in key} | {
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": head,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": head,
    }
    with TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "cluster.json"
        file.write_text(json.dumps(config))
        command = [
            *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=0"),
            *("--include-dashboard=false", f"--port={address.rpartition(':')[2]}", f"--temp-dir={folder}"),
            *(f"--object-store-memory={STORE}", f"--autoscaling-config={file}"),
        ]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            yield address
        finally:
            for pid in tree(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
