"""What an operator of a cluster would stumble over: values that are right by themselves, and wrong together."""

import re
from collections.abc import Iterator, Sequence

from tests.unit.k8s.manifests import Manifest, Pod, of_kind, pods, service_pods, settings_of
from tests.unit.k8s.network import matches
from tests.unit.k8s.rules import Broken, rule
from tests.unit.k8s.scaling_rules import DEADLINES

_LOGS = 64 * 2**20  # what the kubelet keeps of one container: five files of 10 MiB
_UNITS = {"": 1, "m": 0.001, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_OWN_TIMEOUT = re.compile(r"--(?:shutdown|graceful-termination)-timeout[= ](\d+)")


def amount(text: object) -> float:
    """A quantity, in bytes or cores."""
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def limits(pod: Pod, what: str) -> float:
    """Of all containers that run at once."""
    return sum(amount(each["resources"]["limits"][what]) for each in pod.spec["containers"])


def volumes(pod: Pod, *, memory: bool) -> float:
    """The sizes of the pod's own volumes, in memory or on the node's disk."""
    own = [each["emptyDir"] for each in pod.spec.get("volumes", []) if "emptyDir" in each]
    return sum(amount(each["sizeLimit"]) for each in own if (each.get("medium") == "Memory") is memory)


@rule("budgets are about pods that have a scale")
def _budgets(objects: Sequence[Manifest]) -> Iterator[Broken]:
    """The disruption controller asks the pods' owner; of one that cannot say it refuses every eviction."""
    for budget in of_kind(objects, "PodDisruptionBudget"):
        for pod in pods(objects):
            there = pod.owner["metadata"].get("namespace") == budget["metadata"].get("namespace")
            scaled = pod.owner["kind"] in {"Deployment", "StatefulSet"}
            if there and not scaled and matches(budget["spec"]["selector"], pod.labels):
                yield Broken(pod.name, "PodDisruptionBudget", "counts pods of a Job: every drain is refused")
        if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield Broken(
                f"PodDisruptionBudget/{budget['metadata']['name']}", "unhealthyPodEvictionPolicy", "keeps nodes"
            )


@rule("limits hold what volumes may")
def _room(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        disk = limits(pod, "ephemeral-storage")
        if (needed := volumes(pod, memory=False)) and disk < needed + _LOGS:
            yield Broken(pod.name, "limits.ephemeral-storage", f"evicted before its volumes hold {needed:.0f} bytes")
        if limits(pod, "memory") < 2 * volumes(pod, memory=True):
            yield Broken(pod.name, "limits.memory", "is mostly that of its volumes in memory")


@rule("a rollout waits as long as a start may take")
def _progress(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        if pod.owner["kind"] == "Deployment":
            waits = pod.owner["spec"].get("progressDeadlineSeconds", 600)
            awaited = [other for other in pods(objects) if _awaits(pod, other)]
            if waits <= sum(map(_start, [pod, *awaited])):
                yield Broken(pod.name, "progressDeadlineSeconds", f"{waits} is less than a start may take")


def _start(pod: Pod) -> int:
    probes = [each["startupProbe"] for each in pod.spec["containers"] if "startupProbe" in each]
    return max((each["periodSeconds"] * each.get("failureThreshold", 3) for each in probes), default=0)


def _awaits(pod: Pod, other: Pod) -> bool:
    """Whether an initial container asks for the other's Service."""
    name = f"//{other.owner['metadata']['name']}:"
    return any(name in " ".join(each.get("args", [])) for each in pod.spec.get("initContainers", []))


@rule("model servers end what they have in hand")
def _drain(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        for each in pod.spec["containers"]:
            if each["image"].split(":")[0].endswith(("vllm-openai", "text-generation-inference")):
                found = _OWN_TIMEOUT.search(" ".join(each.get("args", [])))
                own = int(found[1]) if found else 0
                before = each.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
                if own < DEADLINES["generator"]:
                    yield Broken(pod.name, "args", f"ends requests after {own} s")
                if not before or pod.spec["terminationGracePeriodSeconds"] <= before + own:
                    yield Broken(pod.name, "terminationGracePeriodSeconds", f"is not more than {before} + {own}")


@rule("deadlines begin on a node")
def _deadlines(objects: Sequence[Manifest]) -> Iterator[Broken]:
    """A Job's own counts while its pod waits for one (kubernetes #111948)."""
    for each in of_kind(objects, "CronJob", "ScaledJob"):
        job = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each["spec"]["jobTargetRef"]
        pod = next(pod for pod in pods(objects) if pod.owner is each)
        if "activeDeadlineSeconds" in job or "activeDeadlineSeconds" not in pod.spec:
            yield Broken(pod.name, "activeDeadlineSeconds", "must be the pod's, not the Job's")


@rule("no slice of a GPU under gVisor")
def _slices(objects: Sequence[Manifest]) -> Iterator[Broken]:
    """Its nvproxy has no /dev/nvidia-caps."""
    for pod in pods(objects):
        asked = {name for each in pod.containers for name in each["resources"]["limits"]}
        if pod.spec.get("runtimeClassName") == "gvisor" and any(name.startswith("nvidia.com/mig-") for name in asked):
            yield Broken(pod.name, "runtimeClassName", "gVisor hands on whole GPUs only")


@rule("as many requests as servers can take")
def _requests(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for each in of_kind(objects, "ScaledObject"):
        if each["metadata"]["name"] == "vllm":
            wanted = each["spec"]["maxReplicaCount"] * int(each["spec"]["triggers"][0]["metadata"]["value"])
            for name, pod in service_pods(objects):
                settings = settings_of(objects, pod.spec["containers"][0])
                if name == "generator" and int(settings.get("ARCHLOOP_GENERATOR_CONCURRENCY", 16)) < wanted:
                    yield Broken(pod.name, "ARCHLOOP_GENERATOR_CONCURRENCY", f"must be {wanted} or more")


@rule("one training on one disk")
def _one_disk(objects: Sequence[Manifest]) -> Iterator[Broken]:
    """A Deployment that was there before KEDA came, and is forgotten, must not share it with a Job."""
    for claim in of_kind(objects, "PersistentVolumeClaim"):
        if claim["metadata"]["name"] == "trainings" and claim["spec"]["accessModes"] != ["ReadWriteOncePod"]:
            yield Broken("PersistentVolumeClaim/trainings", "accessModes", "lets two pods write at once")


@rule("no other tenant makes room")
def _priorities(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for each in of_kind(objects, "PriorityClass"):
        name = each["metadata"]["name"]
        low = name in {"archloop-evaluator", "archloop-trainer"}
        if each.get("preemptionPolicy") != "Never" or (low and not -10 <= each["value"] < 0):
            yield Broken(f"PriorityClass/{name}", "value", "must preempt nobody; those of candidates from -10 to -1")


@rule("what is named is there")
def _named(objects: Sequence[Manifest]) -> Iterator[Broken]:
    there = {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects}
    for pod in pods(objects):
        for kind, name in _references(pod):
            if (kind, pod.namespace, name) not in there and name not in {"trust", "default", "datasets", "models"}:
                yield Broken(pod.name, kind, f"{name} is missing")


def _references(pod: Pod) -> Iterator[tuple[str, str]]:
    yield "ServiceAccount", pod.spec.get("serviceAccountName", "default")
    for volume in pod.spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
    for container in pod.containers:
        yield from (("ConfigMap", source["configMapRef"]["name"]) for source in container.get("envFrom", []))
