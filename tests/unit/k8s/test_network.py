"""Who reaches whom in a deployment with everything beside the services: as in compose.yaml, and no more."""

import pytest

from tests.unit.k8s.manifests import pods, rendered
from tests.unit.k8s.network import reaches

PORTS = {
    "registry": 8000,
    "rabbitmq": 5672,
    "mongo": 27017,
    "minio": 9000,
    "vllm": 8080,
    "evaluator": 8002,
    "trainer": 8004,
}
REACHED = {
    "registry": {"rabbitmq", "mongo", "minio"},
    "generator": {"rabbitmq", "minio", "vllm"},
    "evaluator": {"rabbitmq", "registry"},
    "novelty": {"rabbitmq", "minio"},
    "trainer": {"rabbitmq", "minio"},
    "vllm": set(),
    "rabbitmq": set(),
    "mongo": set(),
    "minio": set(),
}


@pytest.mark.parametrize("source", REACHED)
def test_who_reaches_whom(source, scratch):
    objects = rendered("overlays/gpu", scratch)
    by_name = {pod.labels["app.kubernetes.io/name"]: pod for pod in pods(objects)}
    assert set(by_name) == set(REACHED)
    found = {name for name, port in PORTS.items() if reaches(objects, by_name[source], by_name[name], port)}
    assert found == REACHED[source]


def test_the_brokers_management_is_for_nobody_in_the_namespace(scratch):
    objects = rendered("overlays/gpu", scratch)
    by_name = {pod.labels["app.kubernetes.io/name"]: pod for pod in pods(objects)}
    assert not any(reaches(objects, source, by_name["rabbitmq"], 15672) for source in by_name.values())
