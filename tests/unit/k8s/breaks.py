"""What each rule is there for, by changes of overlays/gpu that break it and nothing that its schema has against."""

from collections.abc import Mapping, Sequence
from typing import Any

Change = tuple[str, str, Any]

_TERMS = "pod affinity nodeAffinity requiredDuringSchedulingIgnoredDuringExecution nodeSelectorTerms"
BREAKS: Mapping[str, Sequence[Change]] = {
    "time to finish": [("Deployment/evaluator", "pod terminationGracePeriodSeconds", 30)],
    "scaled by what waits and what is in hand": [("ScaledJob/trainer", "spec triggers 0 metadata queueName", "x")],
    "scaling leaves work alone": [("ScaledObject/evaluator", "spec cooldownPeriod", 60)],
    "a job a training": [("ScaledJob/trainer", "pod activeDeadlineSeconds", 3600)],
    "one at a time": [("StatefulSet/novelty", "spec replicas", 2)],
    "budgets are about pods that have a scale": [
        ("PodDisruptionBudget/registry", "spec selector matchLabels app.kubernetes.io/name", "trainer")
    ],
    "limits hold what volumes may": [("Deployment/generator", "pod volumes adapters emptyDir sizeLimit", "12Gi")],
    "a rollout waits as long as a start may take": [("Deployment/vllm", "spec progressDeadlineSeconds", 600)],
    "model servers end what they have in hand": [("Deployment/vllm", "server args 6", "--shutdown-timeout=0")],
    "deadlines begin on a node": [("ScaledJob/trainer", "spec jobTargetRef activeDeadlineSeconds", 19800)],
    "no slice of a GPU under gVisor": [
        ("Deployment/evaluator", "service resources limits nvidia.com/mig-1g.10gb", 1),
        ("Deployment/evaluator", "pod runtimeClassName", "gvisor"),
    ],
    "as many requests as servers can take": [("ScaledObject/vllm", "spec maxReplicaCount", 3)],
    "one training on one disk": [("PersistentVolumeClaim/trainings", "spec accessModes", ["ReadWriteOnce"])],
    "no other tenant makes room": [("new", "", {"kind": "PriorityClass", "metadata": {"name": "x"}, "value": 1})],
    "what is named is there": [("ServiceAccount/evaluator", "", None)],
    "names and labels are ones that may be": [("Deployment/vllm", "metadata labels x", "not a label")],
    "containers and ports have names that may be": [
        ("Deployment/vllm", "server ports http name", "a-name-too-long-for-one")
    ],
    "a selector takes the pods of its own template": [("Deployment/vllm", "template metadata labels", {"a": "b"})],
    "nothing is named twice in a pod": [("Deployment/vllm", "server env +", {"name": "HOME", "value": "/"})],
    "a volume has one source, a mount a volume": [("Deployment/vllm", "pod volumes tmp secret", {"secretName": "x"})],
    "a probe or hook does one thing, at a port that there is": [
        ("Deployment/registry", "service livenessProbe httpGet port", "https")
    ],
    "requests are within limits": [("Deployment/vllm", "server resources requests nvidia.com/gpu", 0)],
    "pods end as their owner wants": [("Deployment/vllm", "pod activeDeadlineSeconds", 60)],
    "a rollout can take a step": [("Deployment/vllm", "spec strategy rollingUpdate maxUnavailable", 0)],
    "nodes are asked for by labels that can be compared": [
        (
            "Deployment/evaluator",
            f"{_TERMS} 1 matchExpressions nvidia.com/gpu.replicas values",
            ["two"],
        )
    ],
    "services and policies are about ports that there are": [("Service/registry", "spec ports http targetPort", "x")],
    "schedules, budgets and disks are ones that may be": [("PodDisruptionBudget/registry", "spec minAvailable", 1)],
}
# More of what some of them see.
MORE: Sequence[tuple[str, Change]] = [
    ("names and labels are ones that may be", ("Service/vllm", "metadata name", "vllm.x")),
    (
        "nothing is named twice in a pod",
        ("Deployment/vllm", "server volumeMounts +", {"name": "shm", "mountPath": "/tmp"}),
    ),
    ("a volume has one source, a mount a volume", ("Deployment/vllm", "server volumeMounts /tmp name", "nothing")),
    ("a probe or hook does one thing, at a port that there is", ("Deployment/vllm", "server livenessProbe exec", {})),
    (
        "a probe or hook does one thing, at a port that there is",
        ("Deployment/vllm", "server lifecycle preStop sleep seconds", 700),
    ),
    ("requests are within limits", ("Deployment/vllm", "server resources requests memory", "65Gi")),
    ("pods end as their owner wants", ("Deployment/vllm", "pod restartPolicy", "Never")),
    ("pods end as their owner wants", ("ScaledJob/trainer", "pod restartPolicy", "Always")),
    ("pods end as their owner wants", ("Deployment/vllm", "pod securityContext seccompProfile", {"type": "Localhost"})),
    ("a rollout can take a step", ("Deployment/generator", "spec strategy rollingUpdate", {"maxSurge": 1})),
    (
        "services and policies are about ports that there are",
        ("NetworkPolicy/names", "spec egress 0 to +", {"ipBlock": {"cidr": "10.0.0.1/8"}}),
    ),
    (
        "schedules, budgets and disks are ones that may be",
        ("PersistentVolumeClaim/trainings", "spec accessModes +", "ReadWriteOnce"),
    ),
    ("limits hold what volumes may", ("Deployment/evaluator", "pod volumes shm emptyDir sizeLimit", "20Gi")),
    ("model servers end what they have in hand", ("Deployment/vllm", "server lifecycle", "(gone)")),
    (
        "budgets are about pods that have a scale",
        ("PodDisruptionBudget/vllm", "spec unhealthyPodEvictionPolicy", "(gone)"),
    ),
    ("what is named is there", ("Deployment/vllm", "pod volumes models persistentVolumeClaim claimName", "gone")),
]
