"""The compose file, the manifest and the page of a cluster, as far as they can be held true without one."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import SECRETS, Settings
from app.workers.join import HEALTH, RAY

ROOT = Path(__file__).parents[2]
NAMES = {f"MOUTHPIECE_{field.upper()}" for field in Settings.model_fields}
KEPT = {f"MOUTHPIECE_{field.upper()}" for field in SECRETS}
"""Settings that only the service is told."""
CLUSTER_FIELDS = {
    "rayVersion",
    "authOptions",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "headGroupSpec",
    "workerGroupSpecs",
}
AUTOSCALER_FIELDS = {"version", "idleTimeoutSeconds", "upscalingMode", "resources", "env"}
GROUP_FIELDS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
"""Some fields of the ray.io/v1 resources, by KubeRay's reference of its API."""
WORKERS = ("worker", "worker-cpu")
FILES = ("docs/cluster.md", "docker-compose.cluster.yml", "docs/kuberay.yaml")


def services() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.cluster.yml").read_text())
    found: dict[str, Any] = parsed["services"]
    return found


def test_the_head_and_its_workers_differ_in_no_folder_and_no_address() -> None:
    assert services().keys() == {"web", "worker", "worker-cpu"}
    web = services()["web"]
    for worker in WORKERS:
        started = services()[worker]
        assert started["command"] == ["mouthpiece", "worker"]
        for same in ("volumes", "build", "image"):
            assert web[same] == started[same]
        assert started["environment"] == web["environment"] | dict.fromkeys(KEPT, "")
    assert web["build"]["args"] == {"CLUSTER": "1"}
    assert web["environment"]["MOUTHPIECE_RAY_ADDRESS"] == "web:6379"


def test_a_token_is_asked_for_and_no_port_of_ray_is_published() -> None:
    for service in services().values():
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert ":?" in service["environment"]["RAY_AUTH_TOKEN"]
    assert [port.rsplit(":", 1)[1] for port in services()["web"]["ports"]] == ["8000"]
    assert not any("ports" in services()[worker] for worker in WORKERS)


def test_a_worker_is_not_asked_for_the_health_of_the_service() -> None:
    """The image's check asks a port on which no worker listens: it would be unhealthy for good."""
    assert all(services()[worker]["healthcheck"] == {"disable": True} for worker in WORKERS)
    assert "healthcheck" not in services()["web"]


def test_only_a_worker_without_a_profile_needs_a_gpu() -> None:
    assert "profiles" not in services()["worker"]
    assert services()["worker-cpu"]["profiles"] == ["cpu"]
    assert not any("deploy" in services()[name] for name in ("web", "worker-cpu"))


def test_a_container_is_given_all_gpus_of_its_machine() -> None:
    """Docker would give the first one to each of several containers that ask for one."""
    alone = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["mouthpiece"]
    for service in (alone, services()["worker"]):
        (devices,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert devices == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
        assert "replicas" not in service["deploy"]


def test_the_manifest_is_of_a_head_with_the_service_and_of_workers_that_see_the_same() -> None:
    cluster, service = yaml.safe_load_all((ROOT / "docs/kuberay.yaml").read_text())
    head = cluster["spec"]["headGroupSpec"]
    (group,) = cluster["spec"]["workerGroupSpecs"]
    (on_head,), (on_worker,) = (each["template"]["spec"]["containers"] for each in (head, group))
    assert "mouthpiece serve" in on_head["args"][0]
    for same in ("image", "env", "volumeMounts"):
        assert on_head[same] == on_worker[same]
    given = {variable["name"]: variable["value"] for variable in on_head["env"]}
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert {name for name in given if name.startswith("RAY_health")} <= HEALTH.keys()
    # KubeRay starts Ray itself, and sets the mode from authOptions.
    assert given.items() >= {name: value for name, value in RAY.items() if name != "RAY_AUTH_MODE"}.items()
    assert group["rayStartParams"]["num-gpus"] == on_worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert service["spec"]["selector"]["ray.io/cluster"] == cluster["metadata"]["name"]
    assert f"{service['metadata']['name']}.default.svc" in given["MOUTHPIECE_ALLOWED_HOSTS"].split(",")
    pinned = (ROOT / "requirements/cluster.txt").read_text()
    assert f"ray=={cluster['spec']['rayVersion']} " in pinned


def test_the_manifest_has_no_field_that_kuberay_does_not_know() -> None:
    cluster, _ = yaml.safe_load_all((ROOT / "docs/kuberay.yaml").read_text())
    spec, (group,) = cluster["spec"], cluster["spec"]["workerGroupSpecs"]
    for fields, known in (
        (spec, CLUSTER_FIELDS),
        (spec["autoscalerOptions"], AUTOSCALER_FIELDS),
        (spec["headGroupSpec"], {"rayStartParams", "template", "serviceType"}),
        (group, GROUP_FIELDS),
    ):
        assert fields.keys() <= known
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    values = [value for each in (spec["headGroupSpec"], group) for value in each["rayStartParams"].values()]
    assert all(isinstance(value, str) for value in values)


def test_ray_reads_of_the_manifest_that_a_group_of_one_gpu_each_may_grow() -> None:
    pytest.importorskip("ray")
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    cluster, _ = yaml.safe_load_all((ROOT / "docs/kuberay.yaml").read_text())
    cluster["metadata"]["namespace"] = "default"
    config = _derive_autoscaling_config_from_ray_cr(cluster)
    head, gpu = (config["available_node_types"][name] for name in ("headgroup", "gpu"))
    assert (head["resources"]["CPU"], head["resources"]["GPU"]) == (0, 0)
    assert (gpu["resources"]["GPU"], gpu["min_workers"], gpu["max_workers"]) == (1, 1, 8)
    # Without it, a pod's container would start again as soon as its machine was released.
    assert cluster["spec"]["autoscalerOptions"]["version"] == "v2"


def test_pods_of_the_manifest_are_given_no_port_of_the_service_as_a_setting() -> None:
    cluster, service = yaml.safe_load_all((ROOT / "docs/kuberay.yaml").read_text())
    assert f"{service['metadata']['name'].upper()}_PORT" in NAMES  # which Kubernetes would set to tcp://...
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        assert group["template"]["spec"]["enableServiceLinks"] is False


def test_pods_of_the_manifest_are_probed_where_something_listens() -> None:
    """KubeRay would probe Ray's dashboard, which is left off, and end every pod in minutes."""
    cluster, _ = yaml.safe_load_all((ROOT / "docs/kuberay.yaml").read_text())
    head, (group,) = cluster["spec"]["headGroupSpec"], cluster["spec"]["workerGroupSpecs"]
    (on_head,), (on_worker,) = (each["template"]["spec"]["containers"] for each in (head, group))
    for probe in ("readinessProbe", "livenessProbe"):
        assert on_head[probe]["httpGet"] == {"path": "/livez", "port": "http"}
        assert str(on_worker[probe]["tcpSocket"]["port"]) == group["rayStartParams"]["node-manager-port"]


def test_every_variable_that_the_page_or_a_file_names_is_a_setting() -> None:
    for file in FILES:
        named = set(re.findall(r"MOUTHPIECE_[A-Z_]*[A-Z]", (ROOT / file).read_text()))
        assert named <= NAMES
