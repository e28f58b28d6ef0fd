"""Nobody reaches anybody, but for what the loop needs."""

import ipaddress
from collections.abc import Iterator, Sequence

from services.generator.backends.kubernetes_launcher import LABEL
from tests.unit.k8s.candidate_rules import untrusted
from tests.unit.k8s.manifests import Manifest, of_kind, pods
from tests.unit.k8s.network import openings, policies
from tests.unit.k8s.rules import Broken, rule

_RESOLVER = ("kubernetes.io/metadata.name=kube-system / k8s-app=kube-dns", "53")
_PROMETHEUS = ("kubernetes.io/metadata.name=monitoring / app.kubernetes.io/name=prometheus", "http")
_EVALUATORS_WAY = {
    _RESOLVER,
    ("app.kubernetes.io/name=registry", "8000"),
    ("app.kubernetes.io/name=rabbitmq", "5672"),
}
_GENERATOR = {("app.kubernetes.io/name=generator", "8080")}


@rule("nobody by default")
def _default(objects: Sequence[Manifest]) -> Iterator[Broken]:
    """In every namespace of ours, and for every pod in it."""
    for namespace in of_kind(objects, "Namespace"):
        name = namespace["metadata"]["name"]
        closed = [
            each
            for each in of_kind(objects, "NetworkPolicy")
            if each["metadata"]["namespace"] == name and each["spec"]["podSelector"] == {}
            if set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"}
            and not each["spec"].keys() & {"ingress", "egress"}
        ]
        if not closed:
            yield Broken(f"Namespace/{name}", "NetworkPolicy", "must be one that closes every pod both ways")


@rule("nothing open to everybody")
def _open(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        for direction in ("Ingress", "Egress"):
            for policy, peer, port in openings(objects, pod, direction):
                wide = peer.startswith("block") and ipaddress.ip_network(peer.split()[1]).num_addresses > 256
                if wide or port == "any" or "anybody" in peer or "every one" in peer:
                    yield Broken(f"NetworkPolicy/{policy}", direction.lower(), f"{peer}, port {port}, is too wide")


@rule("evaluators reach broker and registry only")
def _evaluators(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in untrusted(objects):
        if not policies(objects, pod, "Egress"):
            yield Broken(pod.name, "NetworkPolicy", "must be one about it")
        for policy, peer, port in openings(objects, pod, "Egress"):
            broker = peer.startswith("block ") and port in {"5671", "5672"} and policy == "to-broker"
            if (peer, port) not in _EVALUATORS_WAY and not broker:
                yield Broken(f"NetworkPolicy/{policy}", "egress", f"lets evaluators reach {peer}, port {port}")
        for policy, peer, port in openings(objects, pod, "Ingress"):
            if (peer, port) != _PROMETHEUS:
                yield Broken(f"NetworkPolicy/{policy}", "ingress", f"lets {peer} reach evaluators at port {port}")


@rule("model servers are the generator's")
def _models(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for pod in pods(objects):
        if pod.labels.get("app.kubernetes.io/name") not in {"vllm", "tgi"} and LABEL not in pod.labels:
            continue
        if not policies(objects, pod, "Ingress"):
            yield Broken(pod.name, "NetworkPolicy", "must be one about it")
        for policy, peer, port in openings(objects, pod, "Ingress"):
            if (peer, port) not in _GENERATOR:
                yield Broken(f"NetworkPolicy/{policy}", "ingress", f"lets {peer} load adapters at port {port}")
    for service in of_kind(objects, "Service", "Ingress"):
        if service["kind"] == "Ingress" or service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield Broken(f"{service['kind']}/{service['metadata']['name']}", "spec.type", "opens a port to the outside")
