"""Who may be stopped when, and how many there are."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from archloop.contracts.topology import EVALUATOR, QUEUES, TRAINER
from services.generator.settings import GeneratorSettings
from services.trainer.settings import TrainerSettings
from tests.unit.k8s.manifests import ROOT, Manifest, named, of_kind, pods, service_pods, settings_of
from tests.unit.k8s.rules import Broken, rule

_PROTOCOLS = [yaml.safe_load(path.read_text()) for path in (ROOT / "archloop/protocols").glob("*.yaml")]
LONGEST_EVALUATION = max(protocol.get("limits", {}).get("wall_seconds", 60) for protocol in _PROTOCOLS)
_MARGIN = 30


def default(settings: type[Any], field: str) -> float:
    return float(settings.model_fields[field].default)


DEADLINES = {
    "evaluator": LONGEST_EVALUATION,
    "generator": default(GeneratorSettings, "request_timeout_s"),
    "trainer": default(TrainerSettings, "grace_s"),
}


@rule("time to finish")
def _grace(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for name, pod in service_pods(objects):
        grace = pod.spec.get("terminationGracePeriodSeconds", 30)
        if grace < DEADLINES.get(name, 0) + _MARGIN:
            problem = f"{grace} is less than {DEADLINES.get(name, 0):g} + {_MARGIN}"
            yield Broken(pod.name, "terminationGracePeriodSeconds", problem)
        if name == "evaluator" and grace > EVALUATOR.consumer_timeout_s:
            yield Broken(pod.name, "terminationGracePeriodSeconds", "outlives the queue's consumer timeout")


@rule("scaled by what waits and what is in hand")
def _triggers(objects: Sequence[Manifest]) -> Iterator[Broken]:
    known = {queue.name for queue in QUEUES}
    accounts = {each["metadata"]["name"] for each in of_kind(objects, "TriggerAuthentication")}
    for each in of_kind(objects, "ScaledObject", "ScaledJob"):
        owner = f"{each['kind']}/{each['metadata']['name']}"
        for trigger in each["spec"]["triggers"]:
            metadata = trigger["metadata"]
            wanted = {"protocol": "http", "mode": "QueueLength", "excludeUnacknowledged": "false"}
            for field in (field for field in wanted if metadata.get(field) != wanted[field]):
                yield Broken(owner, f"triggers.{field}", f"must be {wanted[field]}")
            if metadata["queueName"] not in known:
                yield Broken(owner, "triggers.queueName", f"{metadata['queueName']} is no queue of ours")
            if trigger.get("authenticationRef", {}).get("name") not in accounts or "host" in metadata:
                yield Broken(owner, "triggers.authenticationRef", "must be a TriggerAuthentication")


@rule("scaling leaves work alone")
def _scaled_objects(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for each in of_kind(objects, "ScaledObject"):
        name, spec = each["metadata"]["name"], each["spec"]
        target = named(objects, "Deployment", spec["scaleTargetRef"]["name"])
        if "replicas" in target["spec"]:
            yield Broken(f"Deployment/{name}", "replicas", "is KEDA's to say")
        if spec["cooldownPeriod"] < DEADLINES.get(name, 0) + _MARGIN:
            yield Broken(f"ScaledObject/{name}", "cooldownPeriod", "is less than the longest work")
        if name == "generator" and spec["maxReplicaCount"] != 1:
            yield Broken(f"ScaledObject/{name}", "maxReplicaCount", "must be 1: two take adapters from each other")


@rule("a job a training")
def _scaled_jobs(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for each in of_kind(objects, "ScaledJob"):
        spec, job = each["spec"], each["spec"]["jobTargetRef"]
        pod = next(pod for pod in pods(objects) if pod.owner is each)
        deadline = pod.spec.get("activeDeadlineSeconds", 0)
        expected = {
            # Right because a message is acknowledged after the work; `accurate` is for those that do so before.
            "scalingStrategy.strategy": spec["scalingStrategy"]["strategy"] == "default",
            "scalingStrategy.pendingPodConditions": bool(spec["scalingStrategy"].get("pendingPodConditions")),
            "rollout.strategy": spec.get("rollout", {}).get("strategy") == "gradual",
            "backoffLimit": job.get("backoffLimit") == 0,
            "activeDeadlineSeconds": default(TrainerSettings, "timeout_s") < deadline < TRAINER.consumer_timeout_s,
            "restartPolicy": pod.spec.get("restartPolicy") == "Never",
            "ARCHLOOP_TRAINER_ONCE_WITHIN_S": bool(
                settings_of(objects, pod.spec["containers"][0]).get("ARCHLOOP_TRAINER_ONCE_WITHIN_S")
            ),
        }
        for field in (field for field, holds in expected.items() if not holds):
            yield Broken("ScaledJob/trainer", field, "does not let one Job do one training to its end")
        if any(d["metadata"]["name"] == "trainer" for d in of_kind(objects, "Deployment")):
            yield Broken("Deployment/trainer", "kind", "is one too many beside the Jobs")


@rule("one at a time")
def _single(objects: Sequence[Manifest]) -> Iterator[Broken]:
    for each in of_kind(objects, "Deployment", "StatefulSet"):
        if each["metadata"]["name"] in {"generator", "novelty"} and each["spec"].get("replicas", 1) != 1:
            yield Broken(f"{each['kind']}/{each['metadata']['name']}", "replicas", "must be 1")
