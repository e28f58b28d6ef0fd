"""What each rendering is made of, by the names of the trees and the components."""

from collections.abc import Sequence

from tests.unit.k8s.manifests import COMBINATIONS
from tests.unit.k8s.trees import Place

_SERVICES = ("namespace", "registry", "evaluator", "novelty", "trainer", "generator")
_ELSEWHERE = ("pushed", "storage-classes", "pull-secret")
_GPU = ("stores", "models", "gpu", "vllm", "keda", "vllm/scaling", "monitoring", *_ELSEWHERE)
_PROD = (
    "external", "external-secrets", "models", "gpu", "vllm", "backup", "tls", "keda", "vllm/scaling", "monitoring",
    "prod", *_ELSEWHERE,
)  # fmt: skip
_TGI = ("external", "models", "tgi-overlay", *_ELSEWHERE)


def _place(namespace: str, *parts: str) -> Place:
    return Place(namespace, frozenset(parts))


def _deployment(*parts: str) -> Sequence[Place]:
    return (_place("archloop", *_SERVICES, *parts),)


PLACES: dict[str, Sequence[Place]] = {
    "cluster": (_place("archloop-nodes", "cluster"),),
    "cluster-apparmor": (_place("archloop-nodes", "cluster", "cluster-apparmor"),),
    "datasets": (_place("archloop", "disk", "pushed"),),
    "models": (_place("archloop", "disk", "disk-of-models", "pushed"),),
    "overlays/dev": _deployment("stores", "model-server", "dev"),
    "overlays/gpu": _deployment(*_GPU),
    "overlays/prod": _deployment(*_PROD),
    "overlays/prod-mig": _deployment(*_PROD, "mig"),
    "overlays/prod-gvisor": _deployment(*_PROD, "gvisor"),
    "overlays/prod-gke": _deployment(*_PROD, "apparmor", "dns/node-local"),
    "overlays/tgi": (
        _place("archloop", "namespace", "registry", "evaluator", "novelty", "trainer", "gpu", *_TGI),
        _place("archloop-models", "namespace", "generator", "tgi-roll", *_TGI),
    ),
    **{name: _deployment(*components) for name, components in COMBINATIONS.items()},
}
