"""Every overlay and every combination of components is what its trees allow, and its values fit each other."""

import re

import pytest

from services.generator.backends.kubernetes_launcher import filled
from tests.unit.k8s.allowed import refused, refused_alone
from tests.unit.k8s.breaks import BREAKS, MORE
from tests.unit.k8s.changes import changed
from tests.unit.k8s.manifests import K8S, OVERLAYS, ROOT, each, named, of_kind, pods, rendered, service_pods
from tests.unit.k8s.network import openings, reaches
from tests.unit.k8s.places import PLACES
from tests.unit.k8s.pod_security import refusals
from tests.unit.k8s.rules import RULES, all_broken
from tests.unit.k8s.trees import Place


@each
def test_there_is_nothing_but_what_is_allowed(name, scratch):
    assert list(map(str, refused(rendered(name, scratch), PLACES[name]))) == []


def test_every_component_and_overlay_is_in_a_rendering():
    """What is in none is checked by nothing."""
    folders = {path.parent.relative_to(K8S).as_posix() for path in K8S.glob("**/kustomization.yaml")}
    components = {name.removeprefix("components/") for name in folders if name.startswith("components/")}
    parts = {part for places in PLACES.values() for place in places for part in place.parts}
    assert components - {"keda/training"} <= parts
    assert {name for name in folders if name.startswith("overlays/") and name.count("/") == 1} <= set(OVERLAYS)


@each
def test_values_fit_each_other(name, scratch):
    assert all_broken(rendered(name, scratch)) == {}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_broken_by_what_it_is_there_for(rule, scratch):
    objects = rendered("overlays/gpu", scratch)
    if rule == "limits hold what volumes may":
        objects = rendered("overlays/dev", scratch)
    assert not list(RULES[rule](objects))
    assert list(RULES[rule](changed(objects, BREAKS[rule])))


@pytest.mark.parametrize(("rule", "change"), MORE)
def test_a_rule_sees_this_too(rule, change, scratch):
    assert list(RULES[rule](changed(rendered("overlays/gpu", scratch), [change])))


@each
def test_pods_keep_to_the_standard_of_their_namespace(name, scratch):
    objects = rendered(name, scratch)
    levels = {
        each["metadata"]["name"]: each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for each in of_kind(objects, "Namespace")
    }
    assert {
        pod.name: found for pod in pods(objects) if (found := refusals(pod, levels.get(pod.namespace, "restricted")))
    } == {}


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        ("pod hostPID", True),
        ("pod volumes +", {"name": "x", "hostPath": {"path": "/"}}),
        ("pod volumes +", {"name": "x", "nfs": {"server": "x", "path": "/"}}),
        ("service ports http hostPort", 80),
        ("service securityContext capabilities", {"drop": ["ALL"], "add": ["NET_RAW"]}),
        ("service securityContext capabilities", {"drop": ["NET_RAW"]}),
        ("service securityContext procMount", "Unmasked"),
        ("service securityContext runAsUser", 0),
        ("service securityContext seccompProfile", {"type": "Unconfined"}),
        ("service securityContext allowPrivilegeEscalation", "(gone)"),
        ("service livenessProbe httpGet host", "169.254.169.254"),
        ("pod securityContext sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
        ("pod securityContext seLinuxOptions", {"type": "spc_t"}),
        ("pod securityContext runAsNonRoot", "(gone)"),
        ("template metadata annotations", {"container.apparmor.security.beta.kubernetes.io/service": "unconfined"}),
    ],
)
def test_the_standard_refuses(steps, value, scratch):
    objects = changed(rendered("overlays/gpu", scratch), [("Deployment/evaluator", steps, value)])
    pod = pods([named(objects, "Deployment", "evaluator")])[0]
    assert refusals(pod, "restricted")


def test_images_are_ours_only_where_somebody_has_put_them(scratch):
    """`archloop/…` of the public hub is whoever takes that name there."""
    asked = {
        (name, container["imagePullPolicy"])
        for name in OVERLAYS
        for pod in pods(rendered(name, scratch))
        for container in pod.containers
        if container["image"].startswith("archloop/")
    }
    assert asked == {("overlays/dev", "Never")}


def test_who_makes_room_for_whom(scratch):
    values = {o["metadata"]["name"]: o["value"] for o in of_kind(rendered("cluster", scratch), "PriorityClass")}
    assert sorted(values, key=values.__getitem__) == [
        f"archloop-{name}" for name in ("trainer", "evaluator", "generator", "control")
    ]
    asked = {pod.spec.get("priorityClassName") for name in OVERLAYS for pod in pods(rendered(name, scratch))}
    assert asked == set(values)


def test_the_servers_that_the_generator_starts_are_what_is_allowed(scratch):
    objects = rendered("overlays/tgi", scratch)
    template = next(o for o in objects if o["metadata"]["name"].startswith("tgi-template"))["data"]["template.yaml"]
    made = filled(template, "tgi-0", "generator-0", "a=/adapters/a")
    for one in made:
        one["metadata"]["namespace"] = "archloop-models"
    place, started = Place("archloop-models", frozenset({"started", "tgi-roll"})), made.deployment
    assert [str(broken) for one in made for broken in refused_alone(one, [place])] == []
    assert all_broken([*objects, started]) == {}
    pod, generator = pods([started])[0], next(pod for name, pod in service_pods(objects) if name == "generator")
    assert refusals(pod, "restricted") == []
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
