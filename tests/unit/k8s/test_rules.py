"""Every overlay and every combination of components keeps every rule, and every rule catches what it is there for."""

import re

from services.generator.backends.kubernetes_launcher import filled
from tests.unit.k8s import pod_rules
from tests.unit.k8s.manifests import OVERLAYS, ROOT, each, of_kind, pods, rendered, service_pods
from tests.unit.k8s.network import openings, reaches
from tests.unit.k8s.rules import EXCEPTIONS, RULES, all_broken


@each
def test_every_rule_is_kept(name, scratch):
    assert all_broken(rendered(name, scratch)) == {}


@each
def test_names_are_taken_once(name, scratch):
    keys = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in rendered(name, scratch)]
    assert len(keys) == len(set(keys))


def test_every_exception_is_needed(scratch):
    owners = {pod_rules.owner_of(pod) for name in OVERLAYS for pod in pods(rendered(name, scratch))}
    for name, excepted in EXCEPTIONS.items():
        assert name in RULES
        assert excepted <= owners
        found = {each.owner for overlay in OVERLAYS for each in RULES[name](rendered(overlay, scratch))}
        assert excepted == found


def test_who_makes_room_for_whom(scratch):
    values = {o["metadata"]["name"]: o["value"] for o in of_kind(rendered("cluster", scratch), "PriorityClass")}
    assert sorted(values, key=values.__getitem__) == [
        f"archloop-{name}" for name in ("trainer", "evaluator", "generator", "control")
    ]
    asked = {pod.spec.get("priorityClassName") for name in OVERLAYS for pod in pods(rendered(name, scratch))}
    assert asked == set(values)


def test_the_servers_that_the_generator_starts_keep_them_too(scratch):
    objects = rendered("overlays/tgi", scratch)
    template = next(o for o in objects if o["metadata"]["name"].startswith("tgi-template"))["data"]["template.yaml"]
    started = filled(template, "tgi-0", "generator-0", "").deployment
    started["metadata"]["namespace"] = "archloop-models"
    assert all_broken([*objects, started]) == {}
    pod, generator = pods([started])[0], next(pod for name, pod in service_pods(objects) if name == "generator")
    assert reaches(objects, generator, pod, 8080)
    assert not reaches(objects, pod, generator, 8001)
    assert {opening.peer for opening in openings(objects, pod, "Ingress")} == {"app.kubernetes.io/name=generator"}


def test_what_is_asked_of_a_laptop_is_what_the_page_says(scratch):
    """Four cores and 12 GiB, one and two of which are for the cluster itself."""
    units = {"m": 0.001, "Mi": 1 / 1024, "Gi": 1.0}

    def total(what):
        asked = [
            c["resources"]["requests"][what]
            for pod in pods(rendered("overlays/dev", scratch))
            for c in pod.spec["containers"]
        ]
        return sum(float(re.sub(r"\D", "", each)) * units.get(re.sub(r"\d", "", each), 1.0) for each in asked)

    assert total("cpu") <= 3
    assert total("memory") <= 10
    assert "four cores and 12 GiB" in (ROOT / "docs/how-to/kubernetes.md").read_text()
