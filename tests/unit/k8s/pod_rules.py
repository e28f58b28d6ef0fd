"""What a pod may be, have and do: the Pod Security Standard `restricted`, and more."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.unit.k8s.manifests import Manifest, Pod, of_kind, pods, service_pods, settings_of
from tests.unit.k8s.rules import Broken, rule

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_RESOURCES = {"cpu", "memory", "ephemeral-storage"}
_STANDARD = "pod-security.kubernetes.io/enforce"
_PINNED = re.compile(r"(@sha256:[0-9a-f]{64}|:v?\d[\w.-]*|:dev|:RELEASE\.[\w.-]+)$")
_SECRET = re.compile(r"PASS|SECRET|TOKEN|KEY|MONGO_URL|BROKER_URL")


def of_pod(name: str) -> Callable[[Callable[[Pod], Iterator[tuple[str, str]]]], Any]:
    """A rule about each pod by itself."""

    def register(function: Callable[[Pod], Iterator[tuple[str, str]]]) -> Any:
        def over(objects: Sequence[Manifest]) -> Iterator[Broken]:
            for pod in pods(objects):
                for field, problem in function(pod):
                    yield Broken(owner_of(pod), field, problem)

        return rule(name)(over)

    return register


def owner_of(pod: Pod) -> str:
    return pod.name + ("" if pod.namespace in {"archloop", "archloop-nodes", ""} else f"@{pod.namespace}")


def context(pod: Pod, container: Manifest, field: str) -> Any:
    """What holds for the container: its own, else the pod's."""
    own = container.get("securityContext", {})
    return own.get(field, pod.spec.get("securityContext", {}).get(field))


def each_container(name: str, field: str, is_wrong: Callable[[Pod, Manifest], str | None]) -> None:
    """A rule about each container, initial ones too."""

    @of_pod(name)
    def check(pod: Pod) -> Iterator[tuple[str, str]]:
        for container in pod.containers:
            if problem := is_wrong(pod, container):
                yield f"{container['name']}.{field}", problem


def own(container: Manifest, field: str) -> Any:
    return container.get("securityContext", {}).get(field)


each_container(
    "no privilege", "securityContext.privileged", lambda _, c: "must not be set" if own(c, "privileged") else None
)
each_container(
    "no escalation",
    "securityContext.allowPrivilegeEscalation",
    lambda _, c: None if own(c, "allowPrivilegeEscalation") is False else "must be false",
)
each_container(
    "no capabilities",
    "securityContext.capabilities",
    lambda _, c: None if own(c, "capabilities") == {"drop": ["ALL"]} else "must drop ALL and add none",
)
each_container(
    "read-only root",
    "securityContext.readOnlyRootFilesystem",
    lambda _, c: None if own(c, "readOnlyRootFilesystem") is True else "must be true",
)
each_container(
    "no unmasked proc",
    "securityContext.procMount",
    lambda _, c: None if own(c, "procMount") in {None, "Default"} else "must be Default",
)


def _root(pod: Pod, container: Manifest) -> str | None:
    user = context(pod, container, "runAsUser")
    return None if context(pod, container, "runAsNonRoot") is True and user else f"must be another user, is {user}"


each_container("no root", "securityContext.runAsUser", _root)


def _unfiltered(pod: Pod, container: Manifest) -> str | None:
    profile = (context(pod, container, "seccompProfile") or {}).get("type")
    return None if profile in {"RuntimeDefault", "Localhost"} else f"must be RuntimeDefault or Localhost, is {profile}"


each_container("system calls filtered", "securityContext.seccompProfile", _unfiltered)


def _unpinned(_: Pod, container: Manifest) -> str | None:
    return None if _PINNED.search(container["image"]) else f"{container['image']} has no version or digest"


each_container("images pinned", "image", _unpinned)


def _unlimited(_: Pod, container: Manifest) -> str | None:
    resources = container.get("resources", {})
    missing = [
        f"{half}.{what}"
        for half in ("requests", "limits")
        for what in sorted(_RESOURCES - resources.get(half, {}).keys())
    ]
    return f"without {', '.join(missing)}" if missing else None


each_container("resources bounded", "resources", _unlimited)


@of_pod("no host namespaces")
def _host_namespaces(pod: Pod) -> Iterator[tuple[str, str]]:
    for field in ("hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace"):
        if pod.spec.get(field):
            yield field, "must not be set"


@of_pod("no host paths")
def _host_paths(pod: Pod) -> Iterator[tuple[str, str]]:
    for volume in pod.spec.get("volumes", []):
        if kinds := set(volume) - {"name"} - _VOLUMES:
            yield f"volumes.{volume['name']}", f"{kinds.pop()} is not allowed"


@of_pod("no endless volumes")
def _endless(pod: Pod) -> Iterator[tuple[str, str]]:
    for volume in pod.spec.get("volumes", []):
        if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
            yield f"volumes.{volume['name']}.emptyDir.sizeLimit", "is missing"


@of_pod("no token")
def _token(pod: Pod) -> Iterator[tuple[str, str]]:
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken", "must be false"


@of_pod("no service links")
def _links(pod: Pod) -> Iterator[tuple[str, str]]:
    if pod.spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks", "must be false"


@of_pod("own service account")
def _account(pod: Pod) -> Iterator[tuple[str, str]]:
    if pod.spec.get("serviceAccountName", "default") == "default" and not pod.owner["metadata"].get("labels", {}).get(
        "archloop.dev/store"
    ):
        yield "serviceAccountName", "must be one of its own"


@of_pod("priority")
def _priority(pod: Pod) -> Iterator[tuple[str, str]]:
    if not str(pod.spec.get("priorityClassName")).startswith("archloop-"):
        yield "priorityClassName", "must be one of ours"


@rule("strictest standard")
def _standard(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for namespace in of_kind(objects, "Namespace"):
        name, labels = namespace["metadata"]["name"], namespace["metadata"].get("labels", {})
        if name != "archloop-nodes" and labels.get(_STANDARD) != "restricted":
            yield Broken(f"Namespace/{name}", f"labels.{_STANDARD}", "must be restricted")


@rule("probes")
def _probes(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        if pod.owner["kind"] in {"Deployment", "StatefulSet"} or pod.owner["kind"] == "ScaledJob":
            for container in pod.spec["containers"]:
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    if probe not in container:
                        yield Broken(pod.name, f"{container['name']}.{probe}", "is missing")


@rule("disruption budgets")
def _budgets(objects: Sequence[Manifest]) -> Iterator[Broken]:
    budgets = of_kind(objects, "PodDisruptionBudget")
    for name, pod in service_pods(objects):
        found = [b for b in budgets if b["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == name]
        if [b["spec"].get("maxUnavailable") for b in found] != [1] and pod.owner["kind"] != "ScaledJob":
            yield Broken(pod.name, "PodDisruptionBudget", "must be one, with maxUnavailable: 1")


@rule("no secret written down")
def _secrets(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for secret in of_kind(objects, "Secret"):
        yield Broken(f"Secret/{secret['metadata']['name']}", "data", "belongs to no repository")
    for pod in pods(objects):
        for container in pod.containers:
            for name, value in settings_of(objects, container).items():
                if _SECRET.search(name) and not name.endswith("_FILE") and value:
                    yield Broken(pod.name, f"{container['name']}.env.{name}", "must come from a Secret's file")
