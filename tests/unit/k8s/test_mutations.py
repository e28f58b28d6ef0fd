"""Manifests that somebody has weakened: each is caught, by the rule that is there for it."""

import pytest

from tests.unit.k8s.manifests import named, of_kind, rendered
from tests.unit.k8s.rules import RULES, all_broken


def pod(objects, name, kind="Deployment"):
    return named(objects, kind, name)["spec"]["template"]["spec"]


def container(objects, name, kind="Deployment"):
    return pod(objects, name, kind)["containers"][0]


def both(objects):
    """The evaluator's containers."""
    spec = pod(objects, "evaluator")
    return [*spec["initContainers"], *spec["containers"]]


def secure(objects, name, **fields):
    container(objects, name)["securityContext"].update(fields)


def remove(objects, kind, name):
    objects.remove(named(objects, kind, name))


def add_policy(objects, name, selected, direction, rules):
    spec = {"podSelector": selected, "policyTypes": [direction], direction.lower(): rules}
    objects.append({"kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "archloop"}, "spec": spec})


def shared_gpu(objects):
    terms = pod(objects, "evaluator")["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    terms["nodeSelectorTerms"].append({"matchExpressions": [{"key": "nvidia.com/gpu.present", "operator": "Exists"}]})


def two_gpus(objects):
    for each in both(objects):
        each["resources"]["limits"]["nvidia.com/gpu"] = 2


def unconfined(objects):
    for each in both(objects):
        each["securityContext"]["seccompProfile"] = {"type": "Unconfined"}


def runtimes_own_filter(objects):
    for each in both(objects):
        each["securityContext"]["seccompProfile"] = {"type": "RuntimeDefault"}


def burstable(objects):
    for each in both(objects):
        each["resources"]["requests"]["memory"] = "1Gi"


def settings(objects, service):
    return next(o for o in of_kind(objects, "ConfigMap") if o["metadata"]["name"].startswith(f"{service}-settings"))[
        "data"
    ]


def spec(objects, kind, name):
    return named(objects, kind, name)["spec"]


def trigger(objects, kind, name):
    return spec(objects, kind, name)["triggers"][0]["metadata"]


EVALUATOR = {"matchLabels": {"app.kubernetes.io/name": "evaluator"}}
VLLM = {"matchLabels": {"app.kubernetes.io/name": "vllm"}}
WEAKENED = {
    "privileged": ("no privilege", lambda o: secure(o, "evaluator", privileged=True)),
    "escalation": ("no escalation", lambda o: secure(o, "generator", allowPrivilegeEscalation=True)),
    "a capability": (
        "no capabilities",
        lambda o: secure(o, "evaluator", capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    ),
    "capabilities kept": ("no capabilities", lambda o: container(o, "registry")["securityContext"].pop("capabilities")),
    "a root to write to": ("read-only root", lambda o: secure(o, "vllm", readOnlyRootFilesystem=False)),
    "root": ("no root", lambda o: pod(o, "generator")["securityContext"].update(runAsUser=0)),
    "root in one container": ("no root", lambda o: secure(o, "registry", runAsUser=0)),
    "an unmasked proc": ("no unmasked proc", lambda o: secure(o, "evaluator", procMount="Unmasked")),
    "no filter": ("system calls filtered", unconfined),
    "another filter": ("candidates' filter of system calls", runtimes_own_filter),
    "the host's processes": ("no host namespaces", lambda o: pod(o, "evaluator").update(hostPID=True)),
    "the host's network": ("no host namespaces", lambda o: pod(o, "evaluator").update(hostNetwork=True)),
    "a folder of the node": (
        "no host paths",
        lambda o: pod(o, "evaluator")["volumes"].append({"name": "run", "hostPath": {"path": "/run"}}),
    ),
    "memory without end": (
        "no endless volumes",
        lambda o: pod(o, "evaluator")["volumes"].append({"name": "x", "emptyDir": {"medium": "Memory"}}),
    ),
    "a token": ("no token", lambda o: pod(o, "evaluator").update(automountServiceAccountToken=True)),
    "a token by default": ("no token", lambda o: pod(o, "generator").pop("automountServiceAccountToken")),
    "service links": ("no service links", lambda o: pod(o, "evaluator").update(enableServiceLinks=True)),
    "the default account": ("own service account", lambda o: pod(o, "registry").pop("serviceAccountName")),
    "latest": ("images pinned", lambda o: container(o, "registry").update(image="archloop/registry:latest")),
    "no tag": ("images pinned", lambda o: container(o, "vllm").update(image="vllm/vllm-openai")),
    "no limits": ("resources bounded", lambda o: container(o, "registry")["resources"].pop("limits")),
    "disk without limit": (
        "resources bounded",
        lambda o: container(o, "vllm")["resources"]["limits"].pop("ephemeral-storage"),
    ),
    "less asked than allowed": ("candidates' pods the same size always", burstable),
    "no probe": ("probes", lambda o: container(o, "generator").pop("readinessProbe")),
    "no priority": ("priority", lambda o: pod(o, "evaluator").pop("priorityClassName")),
    "no budget": ("disruption budgets", lambda o: remove(o, "PodDisruptionBudget", "registry")),
    "a budget about nobody": (
        "disruption budgets",
        lambda o: spec(o, "PodDisruptionBudget", "registry")["selector"]["matchLabels"].update(
            {"app.kubernetes.io/name": "x"}
        ),
    ),
    "a laxer standard": (
        "strictest standard",
        lambda o: named(o, "Namespace", "archloop")["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "baseline"}
        ),
    ),
    "a secret in a file": (
        "no secret written down",
        lambda o: o.append({"kind": "Secret", "metadata": {"name": "broker"}}),
    ),
    "a secret in a setting": (
        "no secret written down",
        lambda o: settings(o, "registry").update(ARCHLOOP_REGISTRY_TOKEN="x"),
    ),
    "isolation not tried": ("isolation is tried first", lambda o: pod(o, "evaluator").pop("initContainers")),
    "isolation tried elsewhere": (
        "isolation is tried first",
        lambda o: both(o)[0]["securityContext"].update(runAsUser=1),
    ),
    "less to be out of reach": (
        "isolation is tried first",
        lambda o: settings(o, "evaluator").update(ARCHLOOP_EVALUATOR_OUT_OF_REACH="mongo:27017"),
    ),
    "a lower level": (
        "isolation is tried first",
        lambda o: settings(o, "evaluator").update(ARCHLOOP_EVALUATOR_REQUIRED_LEVEL="process"),
    ),
    "a time-sliced GPU": ("candidates share no GPU", shared_gpu),
    "any node": ("candidates share no GPU", lambda o: pod(o, "evaluator").pop("affinity")),
    "two GPUs": ("candidates share no GPU", two_gpus),
    "no policy": ("nobody by default", lambda o: remove(o, "NetworkPolicy", "nobody")),
    "a policy about some": (
        "nobody by default",
        lambda o: spec(o, "NetworkPolicy", "nobody").update(podSelector=EVALUATOR),
    ),
    "the whole Internet": (
        "evaluators reach broker and registry only",
        lambda o: add_policy(
            o, "x", EVALUATOR, "Egress", [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}]
        ),
    ),
    "the object store": (
        "evaluators reach broker and registry only",
        lambda o: named(o, "Deployment", "evaluator")["spec"]["template"]["metadata"]["labels"].update(
            {"archloop.dev/objects": "client"}
        ),
    ),
    "evaluators called": (
        "evaluators reach broker and registry only",
        lambda o: add_policy(
            o, "x", EVALUATOR, "Ingress", [{"from": [{"podSelector": VLLM}], "ports": [{"port": 8002}]}]
        ),
    ),
    "a rule without peers": (
        "nothing open to everybody",
        lambda o: add_policy(o, "x", {}, "Egress", [{"ports": [{"port": 443}]}]),
    ),
    "all pods as peers": (
        "nothing open to everybody",
        lambda o: add_policy(o, "x", VLLM, "Ingress", [{"from": [{"podSelector": {}}], "ports": [{"port": 8080}]}]),
    ),
    "adapters loaded by others": (
        "model servers are the generator's",
        lambda o: add_policy(
            o, "x", VLLM, "Ingress", [{"from": [{"podSelector": EVALUATOR}], "ports": [{"port": 8080}]}]
        ),
    ),
    "a load balancer": (
        "model servers are the generator's",
        lambda o: spec(o, "Service", "vllm").update(type="LoadBalancer"),
    ),
    "too little grace": ("time to finish", lambda o: pod(o, "evaluator").update(terminationGracePeriodSeconds=30)),
    "too much grace": ("time to finish", lambda o: pod(o, "evaluator").update(terminationGracePeriodSeconds=3600)),
    "busy ones not counted": (
        "scaled by what waits and what is in hand",
        lambda o: trigger(o, "ScaledObject", "evaluator").update(excludeUnacknowledged="true"),
    ),
    "counted over AMQP": (
        "scaled by what waits and what is in hand",
        lambda o: trigger(o, "ScaledObject", "generator").update(protocol="amqp"),
    ),
    "an unknown queue": (
        "scaled by what waits and what is in hand",
        lambda o: trigger(o, "ScaledJob", "trainer").update(queueName="training"),
    ),
    "a password in a trigger": (
        "scaled by what waits and what is in hand",
        lambda o: trigger(o, "ScaledObject", "evaluator").update(host="http://a:b@rabbitmq:15672/"),
    ),
    "cooling down at once": (
        "scaling leaves work alone",
        lambda o: spec(o, "ScaledObject", "evaluator").update(cooldownPeriod=60),
    ),
    "two generators": (
        "scaling leaves work alone",
        lambda o: spec(o, "ScaledObject", "generator").update(maxReplicaCount=2),
    ),
    "a strategy for others": (
        "a job a training",
        lambda o: spec(o, "ScaledJob", "trainer")["scalingStrategy"].update(strategy="accurate"),
    ),
    "updates that kill": ("a job a training", lambda o: spec(o, "ScaledJob", "trainer").pop("rollout")),
    "jobs that end too soon": (
        "a job a training",
        lambda o: spec(o, "ScaledJob", "trainer")["jobTargetRef"].update(activeDeadlineSeconds=3600),
    ),
    "jobs that never end": ("a job a training", lambda o: settings(o, "trainer").pop("ARCHLOOP_TRAINER_ONCE_WITHIN_S")),
    "two novelties": ("one at a time", lambda o: spec(o, "StatefulSet", "novelty").update(replicas=2)),
}


@pytest.mark.parametrize("name", WEAKENED)
def test_a_weakening_is_caught(name, scratch):
    rule, weaken = WEAKENED[name]
    objects = rendered("overlays/gpu", scratch)
    weaken(objects)
    assert rule in all_broken(objects), f"{rule!r} does not see: {name}"


def test_every_rule_has_caught_something():
    assert {rule for rule, _ in WEAKENED.values()} == set(RULES)
