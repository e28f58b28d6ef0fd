"""What NetworkPolicies come to: who may reach whom, worked out as Kubernetes does."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.unit.k8s.manifests import Manifest, Pod, of_kind

Labels = Mapping[str, str]


class Opening(NamedTuple):
    """One peer at one port, and the policy that opens it. `peer` is `anybody` where a rule names none."""

    policy: str
    peer: str
    port: str


def matches(selector: Manifest, labels: Labels) -> bool:
    """See the API's LabelSelector; an empty one matches all."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_expressed(each, labels) for each in selector.get("matchExpressions", []))


def _expressed(expression: Manifest, labels: Labels) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "In":
            return value in expression["values"]
        case _:
            return value not in expression["values"]


def policies(objects: Sequence[Manifest], pod: Pod, direction: str) -> list[Manifest]:
    """Those that are about the pod."""
    return [
        each
        for each in of_kind(objects, "NetworkPolicy")
        if each["metadata"].get("namespace") == pod.namespace
        and direction in each["spec"]["policyTypes"]
        and matches(each["spec"]["podSelector"], pod.labels)
    ]


def openings(objects: Sequence[Manifest], pod: Pod, direction: str) -> Iterator[Opening]:
    """What they open together."""
    side = "from" if direction == "Ingress" else "to"
    for policy in policies(objects, pod, direction):
        for each in policy["spec"].get(direction.lower()) or []:
            for peer in map(_shown, each.get(side) or [{}]):
                for port in each.get("ports") or [{"port": "any"}]:
                    yield Opening(policy["metadata"]["name"], peer, str(port.get("port", "any")))


def _shown(peer: Manifest) -> str:
    if "ipBlock" in peer:
        return f"block {peer['ipBlock']['cidr']}"
    parts = [_labels(peer[side]) for side in ("namespaceSelector", "podSelector") if side in peer]
    return " / ".join(parts) or "anybody"


def _labels(selector: Manifest) -> str:
    equal = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    others = [f"{each['key']} {each['operator']}" for each in selector.get("matchExpressions", [])]
    return ",".join(equal + others) or "every one"


def reaches(objects: Sequence[Manifest], source: Pod, target: Pod, port: int | str) -> bool:
    """Whether both ends let a connection through, within one namespace."""
    return _lets(objects, source, target, port, "Egress") and _lets(objects, target, source, port, "Ingress")


def _lets(objects: Sequence[Manifest], pod: Pod, other: Pod, port: int | str, direction: str) -> bool:
    about, side = policies(objects, pod, direction), "from" if direction == "Ingress" else "to"
    if not about:
        return True
    rules: list[Any] = [each for policy in about for each in policy["spec"].get(direction.lower()) or []]
    return any(_peer(each.get(side), other) and _port(each.get("ports"), port) for each in rules)


def _peer(peers: Sequence[Manifest] | None, other: Pod) -> bool:
    if not peers:
        return True
    here = [each for each in peers if "ipBlock" not in each and "namespaceSelector" not in each]
    return any(matches(each["podSelector"], other.labels) for each in here)


def _port(ports: Sequence[Manifest] | None, port: int | str) -> bool:
    return not ports or any(each.get("port") == port for each in ports)
