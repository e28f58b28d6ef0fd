"""Every object is one that Kubernetes takes, or the operator that it is for."""

import copy
import json

import pytest

from tests.unit.k8s.manifests import RENDERINGS, named, rendered
from tests.unit.k8s.schemas import VERSIONS, Unknown, wrong


@pytest.fixture(scope="module")
def distinct(scratch):
    """Every object of every rendering once."""
    found = {json.dumps(each, sort_keys=True): each for name in RENDERINGS for each in rendered(name, scratch)}
    return list(found.values())


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_taken(version, distinct):
    assert [problem for each in distinct for problem in wrong(each, version)] == []


@pytest.mark.parametrize(
    ("kind", "name", "field", "value"),
    [
        ("Deployment", "evaluator", "spec.template.spec.securityContext.runAsNonRot", True),
        ("NetworkPolicy", "names", "spec.egres", []),
        ("ScaledObject", "evaluator", "spec.maxReplicas", 3),
        ("ScaledJob", "trainer", "spec.jobTargetRef.template.spec.hostNetwork", "yes"),
        ("TriggerAuthentication", "broker", "spec.secretTargetRefs", []),
        ("PodMonitor", "archloop", "spec.podMetricsEndpoint", []),
        ("PrometheusRule", "archloop", "spec.groups.0.rules.0.expr", []),
        ("ExternalSecret", "broker", "spec.target.creationPolicy", "Nobody"),
    ],
)
def test_what_is_misspelt_is_refused(kind, name, field, value, scratch):
    each = copy.deepcopy(named(rendered("overlays/prod", scratch), kind, name))
    *way, last = field.split(".")
    inner = each
    for step in way:
        inner = inner[int(step) if step.isdigit() else step]
    inner[last] = value
    assert list(wrong(each, VERSIONS[-1]))


def test_an_object_without_a_schema_is_a_failure():
    with pytest.raises(Unknown, match="Widget"):
        list(wrong({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}}, VERSIONS[0]))
