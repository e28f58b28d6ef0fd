"""What holds besides for the pods in which candidates run."""

from collections.abc import Iterator, Sequence

from tests.unit.k8s.manifests import Manifest, Pod, service_pods, settings_of
from tests.unit.k8s.pod_rules import own
from tests.unit.k8s.rules import Broken, rule

_API, _METADATA = "kubernetes.default.svc:443", "169.254.169.254:80"


@rule("candidates' pods the same size always")
def _guaranteed(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in untrusted(objects):
        for container in pod.containers:
            if container["resources"].get("requests") != container["resources"].get("limits"):
                yield Broken(pod.name, f"{container['name']}.resources", "requests must be limits")


@rule("isolation is tried first")
def _isolation(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in untrusted(objects):
        first, service = pod.containers[0], pod.spec["containers"][0]
        if first.get("command") != ["python", "-m", "services.evaluator.isolation"] or first is service:
            yield Broken(pod.name, "initContainers.0.command", "must be services.evaluator.isolation")
        same = ("image", "securityContext", "resources", "envFrom")
        for field in (field for field in same if first.get(field) != service.get(field)):
            yield Broken(pod.name, f"initContainers.0.{field}", "must be the service's own, or it proves nothing")
        settings = settings_of(objects, service)
        for place in (_API, _METADATA):
            if place not in settings.get("ARCHLOOP_EVALUATOR_OUT_OF_REACH", "").split(","):
                yield Broken(pod.name, "ARCHLOOP_EVALUATOR_OUT_OF_REACH", f"must try {place}")
        if settings.get("ARCHLOOP_EVALUATOR_REQUIRED_LEVEL") != "container":
            yield Broken(pod.name, "ARCHLOOP_EVALUATOR_REQUIRED_LEVEL", "must be container")


@rule("candidates' filter of system calls")
def _filter(objects: Sequence[Manifest]) -> Iterator[Broken]:
    ours = {"type": "Localhost", "localhostProfile": "archloop/evaluator.json"}
    for pod in untrusted(objects):
        for container in pod.containers:
            if own(container, "seccompProfile") != ours:
                yield Broken(pod.name, f"{container['name']}.securityContext.seccompProfile", f"must be {ours}")


@rule("candidates share no GPU")
def _sharing(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in untrusted(objects):
        devices = {
            (name, count)
            for container in pod.containers
            for name, count in container["resources"].get("limits", {}).items()
            if name.startswith("nvidia.com/")
        }
        if not devices:
            continue
        device, count = next(iter(devices))
        if len(devices) > 1 or str(count) != "1" or device.endswith(".shared"):
            yield Broken(pod.name, "resources.limits", f"must be one whole GPU or MIG slice, is {devices}")
        kind = "nvidia.com/gpu" if device == "nvidia.com/gpu" else device
        wanted = [
            {"key": f"{kind}.sharing-strategy", "operator": "NotIn", "values": ["time-slicing", "mps"]},
            {"key": f"{kind}.replicas", "operator": "Lt", "values": ["2"]},
        ]
        for term in _terms(pod) or [[]]:
            for missing in (each for each in wanted if each not in term):
                yield Broken(pod.name, "affinity.nodeAffinity", f"must require {missing}")


def _terms(pod: Pod) -> list[list[Manifest]]:
    required = (
        pod.spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    )
    return [term.get("matchExpressions", []) for term in (required or {}).get("nodeSelectorTerms", [])]


def untrusted(objects: Sequence[Manifest]) -> Iterator[Pod]:
    """Those in which candidates run."""
    for name, pod in service_pods(objects):
        if name == "evaluator":
            yield pod
