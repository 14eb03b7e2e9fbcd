"""The manifests of docs/deploy/kubernetes.md are YAML, fit together, and keep CLUSTER_SIZE."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.environment.forms import parse_redis_url
from backend.settings import Settings
from tests.deploy.documents import environment, manifests
from tests.readme.document import ROOT

#: Of one process, in MiB.
MEASURED_MEMORY = 110


def stateful() -> dict[str, Any]:
    return manifests("gateway")["StatefulSet"]


def deployment() -> dict[str, Any]:
    return manifests("deployment")["Deployment"]


def container(workload: dict[str, Any]) -> dict[str, Any]:
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_a_stateful_set_promises_as_many_processes_as_it_starts() -> None:
    spec, settings = stateful()["spec"], environment(container(stateful()))
    assert int(settings["CLUSTER_SIZE"]) == spec["replicas"] * int(settings["WORKERS"])


def test_a_deployment_promises_those_that_start_and_those_that_end_too() -> None:
    spec, settings = deployment()["spec"], environment(container(deployment()))
    rolling = spec["strategy"]["rollingUpdate"]
    most = spec["replicas"] + 2 * rolling["maxSurge"]
    assert int(settings["CLUSTER_SIZE"]) == most * int(settings["WORKERS"])
    assert rolling["maxUnavailable"] == 0
    assert spec["minReadySeconds"] >= spec["template"]["spec"]["terminationGracePeriodSeconds"]


def test_the_probes_ask_paths_that_exist() -> None:
    paths = json.loads((ROOT / "docs" / "openapi.json").read_bytes())["paths"]
    one = container(stateful())
    asked = {name: one[name]["httpGet"] for name in one if name.endswith("Probe")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {get["path"] for get in asked.values()} <= set(paths)
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    assert ports == {"http": Settings.model_fields["port"].default}
    assert {get["port"] for get in asked.values()} == set(ports)


def test_the_address_of_the_store_is_a_secret_and_no_value() -> None:
    secret = manifests("secret")["Secret"]
    assert parse_redis_url(secret["stringData"]["REDIS_URL"]) is not None
    for workload in (stateful(), deployment()):
        one = container(workload)
        assert one["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
        assert "REDIS_URL" not in environment(one)


def test_service_and_budget_select_the_pods() -> None:
    found = manifests("gateway")
    labels = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert found["StatefulSet"]["spec"]["serviceName"] == found["Service"]["metadata"]["name"]
    for workload in (stateful(), deployment()):
        assert workload["spec"]["selector"]["matchLabels"] == labels


@pytest.mark.parametrize("workload", [stateful(), deployment()], ids=lambda one: one["kind"])
def test_every_setting_exists_and_every_mount_has_a_volume(workload: dict[str, Any]) -> None:
    one = container(workload)
    assert {name.lower() for name in environment(one)} <= set(Settings.model_fields)
    spec = workload["spec"]
    volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
    assert {mount["name"] for mount in one["volumeMounts"]} <= volumes


def test_what_is_written_is_on_a_volume_since_the_rest_is_read_only() -> None:
    one = container(stateful())
    assert one["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {Path(mount["mountPath"]) for mount in one["volumeMounts"]}
    fields = Settings.model_fields
    written = {Path("/app") / fields["log_dir"].default}
    written.add((Path("/app") / fields["state_path"].default).parent)
    assert written <= mounts


def test_a_pod_has_the_time_to_end_and_the_memory_that_was_measured() -> None:
    one, pod = container(stateful()), stateful()["spec"]["template"]["spec"]
    (_, pause) = one["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] >= int(pause) + 5
    memory = {kind: amounts["memory"] for kind, amounts in one["resources"].items()}
    amounts = {kind: int(text.removesuffix("Mi")) for kind, text in memory.items()}
    assert MEASURED_MEMORY <= amounts["requests"] < amounts["limits"]
