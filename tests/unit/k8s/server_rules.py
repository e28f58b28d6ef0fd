"""What an API server refuses though its schema takes it, by its own validation; there is no server to ask here."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.unit.k8s.fitting_rules import amount
from tests.unit.k8s.manifests import Manifest, Pod, of_kind, pods
from tests.unit.k8s.network import matches
from tests.unit.k8s.rules import Broken, rule

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_VALUE = r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?"
_KEY = rf"({_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([-\w.]{{0,61}}[A-Za-z0-9])?"
_PORT = r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?"
_HANDLERS = {"exec", "httpGet", "tcpSocket", "grpc", "sleep"}
_SELECTING = ("Deployment", "StatefulSet", "DaemonSet")


def _called(each: Manifest) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


@rule("names and labels are ones that may be")
def _names(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for each in objects:
        form = _LABEL if each["kind"] in {"Service", "Namespace"} else rf"{_LABEL}(\.{_LABEL})*"
        if not re.fullmatch(form, each["metadata"]["name"]):
            yield Broken(_called(each), "metadata.name", "is no name")
        labels = dict(each["metadata"].get("labels", {}))
        for pod in pods([each]):
            labels |= pod.labels
        for key, value in labels.items():
            if not re.fullmatch(_KEY, key) or not re.fullmatch(_VALUE, value):
                yield Broken(_called(each), f"labels.{key}", f"{value!r} is no label")


@rule("containers and ports have names that may be")
def _names_in_pods(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        for container in pod.containers:
            if not re.fullmatch(_LABEL, container["name"]):
                yield Broken(pod.name, "containers.name", "is no name")
            for port in container.get("ports", []):
                if "name" in port and not re.fullmatch(_PORT, port["name"]):
                    yield Broken(pod.name, "ports.name", f"{port['name']} is no name of a port")


@rule("a selector takes the pods of its own template")
def _selectors(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(of_kind(objects, *_SELECTING)):
        if not matches(pod.owner["spec"]["selector"], pod.labels):
            yield Broken(pod.name, "spec.selector", "does not match the template's labels")


@rule("nothing is named twice in a pod")
def _twice(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        named: Mapping[str, list[Any]] = {
            "containers": [each["name"] for each in pod.containers],
            "volumes": [each["name"] for each in pod.spec.get("volumes", [])],
            **{
                f"{each['name']}.{field}": [entry[key] for entry in each.get(field, [])]
                for each in pod.containers
                for field, key in (("env", "name"), ("volumeMounts", "mountPath"), ("ports", "containerPort"))
            },
        }
        for field, names in named.items():
            yield from (Broken(pod.name, field, f"{name} twice") for name, n in Counter(names).items() if n > 1)


@rule("a volume has one source, a mount a volume")
def _volumes(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        claimed = {each["metadata"]["name"] for each in pod.owner["spec"].get("volumeClaimTemplates", [])}
        for each in pod.spec.get("volumes", []):
            if len(each) != 2:
                yield Broken(pod.name, f"volumes.{each['name']}", "must have one source")
        there = {each["name"] for each in pod.spec.get("volumes", [])} | claimed
        for container in pod.containers:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in there or ":" in mount["mountPath"]:
                    yield Broken(pod.name, f"volumeMounts.{mount['name']}", "is no volume of this pod")


@rule("a probe or hook does one thing, at a port that there is")
def _probes(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        for container in pod.containers:
            ports = {port.get("name") for port in container.get("ports", [])}
            for name, handler in _handlers(container):
                if len(handler.keys() & _HANDLERS) != 1:
                    yield Broken(pod.name, f"{container['name']}.{name}", "must be one of exec, httpGet and others")
                for way in ("httpGet", "tcpSocket"):
                    port = handler.get(way, {}).get("port")
                    if isinstance(port, str) and port not in ports:
                        yield Broken(pod.name, f"{container['name']}.{name}", f"there is no port {port}")
                if handler.get("sleep", {}).get("seconds", 0) > pod.spec.get("terminationGracePeriodSeconds", 30):
                    yield Broken(pod.name, f"{container['name']}.{name}", "sleeps longer than the grace period")


def _handlers(container: Manifest) -> Iterator[tuple[str, Manifest]]:
    yield from ((name, container[name]) for name in container if name.endswith("Probe"))
    yield from container.get("lifecycle", {}).items()


@rule("requests are within limits")
def _amounts(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        for container in pod.containers:
            requests, limits = (container["resources"].get(half, {}) for half in ("requests", "limits"))
            for what, limit in limits.items():
                asked, extended = requests.get(what, limit), "/" in what
                if amount(asked) > amount(limit) or (extended and amount(asked) != amount(limit)):
                    yield Broken(pod.name, f"{container['name']}.{what}", f"{asked} of {limit}")


@rule("pods end as their owner wants")
def _ends(objects: Sequence[Manifest]) -> Iterator[Broken]:
    """What goes on for ever has neither a policy nor a deadline of its own; a Job has to say that it does not."""
    for pod in pods(objects):
        forever = pod.owner["kind"] in _SELECTING
        if forever and (pod.spec.get("restartPolicy", "Always") != "Always" or "activeDeadlineSeconds" in pod.spec):
            yield Broken(pod.name, "restartPolicy", "must be Always, without a deadline")
        if not forever and pod.spec.get("restartPolicy") not in {"Never", "OnFailure"}:
            yield Broken(pod.name, "restartPolicy", "must be Never or OnFailure")
        for _, context in _contexts(pod):
            for field in ("seccompProfile", "appArmorProfile"):
                profile = context.get(field, {})
                if ("localhostProfile" in profile) is not (profile.get("type") == "Localhost"):
                    yield Broken(pod.name, field, "names a file with type Localhost, and only then")


def _contexts(pod: Pod) -> Iterator[tuple[str, Manifest]]:
    yield "pod", pod.spec.get("securityContext", {})
    yield from ((each["name"], each.get("securityContext", {})) for each in pod.containers)


@rule("a rollout can take a step")
def _steps(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for each in of_kind(objects, "Deployment"):
        strategy = each["spec"].get("strategy", {})
        step = strategy.get("rollingUpdate")
        if step is not None and (strategy.get("type") == "Recreate" or not any(step.values())):
            yield Broken(_called(each), "spec.strategy", "neither adds nor takes away")


@rule("nodes are asked for by labels that can be compared")
def _affinity(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        wanted = pod.spec.get("affinity", {}).get("nodeAffinity", {})
        terms = wanted.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
        for each in (each for term in terms for each in term["matchExpressions"]):
            values, how = each.get("values", []), each["operator"]
            numbers = len(values) == 1 and re.fullmatch(r"-?\d+", values[0]) is not None
            right = {"In": bool(values), "NotIn": bool(values), "Lt": numbers, "Gt": numbers}.get(how, not values)
            if not right:
                yield Broken(pod.name, f"nodeAffinity.{each['key']}", f"{how} {values}")


@rule("services and policies are about ports that there are")
def _ports(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for each in of_kind(objects, "Service"):
        selected = [pod for pod in pods(objects) if matches({"matchLabels": each["spec"]["selector"]}, pod.labels)]
        opened = {
            port.get("name") for pod in selected for container in pod.containers for port in container.get("ports", [])
        }
        for port in each["spec"]["ports"]:
            if isinstance(port.get("targetPort"), str) and port["targetPort"] not in opened:
                yield Broken(_called(each), "spec.ports.targetPort", f"no pod of it has {port['targetPort']}")
    for each in of_kind(objects, "NetworkPolicy"):
        rules = [*(each["spec"].get("egress") or []), *(each["spec"].get("ingress") or [])]
        for peer in (peer for one in rules for peer in (one.get("to") or one.get("from") or [])):
            if "ipBlock" in peer and not _network(peer["ipBlock"]["cidr"]):
                yield Broken(_called(each), "ipBlock.cidr", f"{peer['ipBlock']['cidr']} is no network")


def _network(cidr: str) -> bool:
    try:
        ipaddress.ip_network(cidr)
    except ValueError:
        return False
    return True


@rule("schedules, budgets and disks are ones that may be")
def _others(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for each in of_kind(objects, "CronJob"):
        if len(each["spec"]["schedule"].split()) != 5:
            yield Broken(_called(each), "spec.schedule", "must have five fields")
    for each in of_kind(objects, "PodDisruptionBudget"):
        if len(each["spec"].keys() & {"minAvailable", "maxUnavailable"}) != 1:
            yield Broken(_called(each), "spec", "must have one of minAvailable and maxUnavailable")
    for each in of_kind(objects, "PersistentVolumeClaim"):
        modes = each["spec"]["accessModes"]
        if "ReadWriteOncePod" in modes and len(modes) > 1:
            yield Broken(_called(each), "spec.accessModes", "ReadWriteOncePod stands alone")
