"""Changing a rendered object: by steps that are written down, and by all that a generator thinks of."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.unit.k8s.manifests import Manifest, pods

GONE = "(gone)"
_IDENTITIES = ("mountPath", "name", "key")

# Fields that do harm where they are added, by a field beside which they may stand.
_HARMFUL: Mapping[str, Mapping[str, Any]] = {
    "containers": {
        "hostNetwork": True, "hostPID": True, "hostIPC": True, "shareProcessNamespace": True, "hostUsers": True,
        "dnsPolicy": "None", "dnsConfig": {"nameservers": ["8.8.8.8"]}, "hostAliases": [], "nodeName": "n",
        "schedulerName": "x", "runtimeClassName": "runc", "ephemeralContainers": [], "readinessGates": [],
        "resourceClaims": [], "overhead": {}, "os": {"name": "windows"}, "setHostnameAsFQDN": True, "preemptionPolicy":
        "PreemptLowerPriority", "priority": 2000000000, "restartPolicy": "Never", "serviceAccount": "x",
        "tolerations": [{"operator": "Exists"}], "affinity": {}, "topologySpreadConstraints": [], "subdomain": "x",
    },
    "image": {
        "restartPolicy": "Always", "stdin": True, "tty": True, "workingDir": "/", "volumeDevices": [], "env": [],
        "envFrom": [{"secretRef": {"name": "objects"}}], "lifecycle": {"postStart": {"exec": {"command": ["sh"]}}},
        "args": ["x"], "command": ["sh"], "resizePolicy": [], "terminationMessagePath": "/etc/passwd",
    },
    "allowPrivilegeEscalation": {
        "privileged": True, "procMount": "Unmasked", "runAsUser": 0, "runAsGroup": 0, "windowsOptions": {},
        "seLinuxOptions": {"type": "spc_t"}, "appArmorProfile": {"type": "Unconfined"},
        "seccompProfile": {"type": "Unconfined"},
    },
    "fsGroup": {"sysctls": [], "supplementalGroups": [0], "supplementalGroupsPolicy": "Merge", "windowsOptions": {}},
    "labels": {"annotations": {"sidecar.istio.io/inject": "true"}, "finalizers": ["x/y"], "ownerReferences": []},
    "mountPath": {"subPath": "..", "subPathExpr": "$(X)", "mountPropagation": "Bidirectional"},
    "podSelector": {"ingress": [{}], "egress": [{}], "ipBlock": {"cidr": "::/0"}},
    "port": {"endPort": 65535, "nodePort": 30000, "protocol": "SCTP"},
    "cidr": {"except": []},
    "selector": {"type": "LoadBalancer", "externalIPs": ["203.0.113.1"], "externalName": "x", "loadBalancerIP": "x"},
    "accessModes": {"volumeName": "x", "dataSource": {}, "dataSourceRef": {}, "selector": {}, "volumeMode": "Block"},
    "verbs": {"resourceNames": [], "nonResourceURLs": ["*"]},
    "triggers": {"fallback": {}, "idleReplicaCount": 1, "envSourceContainerName": "x"},
    "kind": {"immutable": True, "data": {"password": "x"}, "binaryData": {}, "stringData": {}, "status": {}},
}  # fmt: skip


class Mutant(NamedTuple):
    """A changed object, and how it was changed."""

    how: str
    at: str
    object: Manifest


def changed(objects: Sequence[Manifest], rows: Sequence[tuple[str, str, Any]]) -> list[Manifest]:
    """The objects with these fields changed, in copies."""
    result = list(objects)
    for name, steps, value in rows:
        if name == "new":
            result.append(value)
            continue
        number = next(n for n, each in enumerate(result) if _is(each, name))
        if not steps:
            del result[number]
            continue
        result[number] = copy.deepcopy(result[number])
        _change(result[number], _way(result[number], steps), value)
    assert result != list(objects), f"{rows} changes nothing"
    return result


def _is(each: Manifest, name: str) -> bool:
    kind, _, own = name.partition("/")
    found: str = each["metadata"]["name"]
    return bool(each["kind"] == kind and (found == own or (kind == "ConfigMap" and found.rpartition("-")[0] == own)))


def _way(each: Manifest, steps: str) -> list[Any]:
    """From the object: `pod`, `template` and names of containers at the beginning lead into its template."""
    first, *rest = steps.split()
    found = pods([each])
    if not found or first in each:
        return [each, first, *rest]
    if first == "template":
        return [found[0].template, *rest]
    names = {container["name"]: container for container in found[0].containers}
    return [found[0].spec if first == "pod" else names[first], *rest]


def _change(each: Manifest, way: list[Any], value: Any) -> None:
    inner, *between, last = way
    for step in between:
        inner = inner[_key(inner, step)] if isinstance(inner, list) else inner.setdefault(step, {})
    match last, value:
        case "+", _:
            inner.append(value)
        case _, "(gone)":
            del inner[_key(inner, last)]
        case _:
            inner[_key(inner, last)] = value


def _key(inner: Any, step: str) -> Any:
    if isinstance(inner, dict):
        return step
    if step.isdigit():
        return int(step)
    return next(n for n, each in enumerate(inner) if step in (each.get(name) for name in _IDENTITIES))


def ways(each: Manifest) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every place and what can be done there, without doing it."""
    for way in _ways(each):
        for how, _ in _others(_at(each, way)):
            yield way, how


def mutant(each: Manifest, way: tuple[Any, ...], how: str) -> Mutant:
    """One of them."""
    other = copy.deepcopy(each)
    value = next(value for name, value in _others(_at(other, way)) if name == how)
    if not way:
        other = value
    elif value is GONE:
        del _at(other, way[:-1])[way[-1]]
    else:
        _at(other, way[:-1])[way[-1]] = value
    return Mutant(how, ".".join(map(str, way)), other)


def _ways(node: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield from _ways(value, (*way, key))


def _at(node: Any, way: Sequence[Any]) -> Any:
    for step in way:
        node = node[step]
    return node


def _others(node: Any) -> Iterator[tuple[str, Any]]:
    """What a value might be in its place, each under a name of what was done."""
    yield "gone", GONE
    yield "null", None
    match node:
        case bool():
            yield "not", not node
            yield "as text", str(node).lower()
        case int():
            yield from (
                ("widened", node * 10 + 1),
                ("zero", 0 if node else 1),
                ("negative", -node - 1),
                ("as text", str(node)),
            )
        case str():
            yield from (
                ("emptied", ""),
                ("longer", f"{node}x"),
                ("any", "*"),
                ("a list", [node]),
                ("everywhere", "0.0.0.0/0"),
            )
        case list():
            yield from (("emptied", []), ("anything too", [*node, "*"]), ("an empty one too", [*node, {}]))
            yield from (("twice", [*node, *copy.deepcopy(node)]), ("as text", ",".join(map(str, node))))
            yield from (("without the last", node[:-1]), ("reversed", node[::-1])) if node else ()
        case dict():
            yield from (("emptied", {}), ("a field more", {**node, "x-unknown": True}))
            added = {
                key: value for beside, fields in _HARMFUL.items() if beside in node for key, value in fields.items()
            }
            yield from ((f"with {key}", {**node, key: value}) for key, value in added.items() if node.get(key) != value)
