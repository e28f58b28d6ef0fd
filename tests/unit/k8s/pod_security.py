"""The Pod Security Standards for Linux pods, by kubernetes.io/docs/concepts/security/pod-security-standards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.unit.k8s.manifests import Manifest, Pod

Check = Callable[[Pod], Iterator[str]]

_ADDABLE = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
_SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_HANDLERS = ("livenessProbe", "readinessProbe", "startupProbe")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def _contexts(pod: Pod) -> Iterator[tuple[str, Manifest]]:
    """The pod's and every container's."""
    yield "pod", pod.spec.get("securityContext", {})
    yield from ((each["name"], each.get("securityContext", {})) for each in pod.containers)


def _baseline(pod: Pod) -> Iterator[str]:
    yield from (field for field in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(field))
    yield from (f"volume {each['name']}: hostPath" for each in pod.spec.get("volumes", []) if "hostPath" in each)
    for name, context in _contexts(pod):
        yield from (f"{name}: {problem}" for problem in _of_context(context))
    for each in pod.containers:
        yield from (f"{each['name']}: hostPort" for port in each.get("ports", []) if port.get("hostPort"))
        yield from (f"{each['name']}: host of {handler}" for handler, host in _hosts(each) if host)
    annotations = pod.template.get("metadata", {}).get("annotations", {})
    for name, value in annotations.items():
        if name.startswith(_APPARMOR) and value != "runtime/default" and not value.startswith("localhost/"):
            yield f"annotation {name}"


def _of_context(context: Manifest) -> Iterator[str]:
    taken: Mapping[str, Any] = {
        "privileged": {None, False},
        "procMount": {None, "Default"},
        "windowsOptions.hostProcess": {None, False},
        "seLinuxOptions.type": _SELINUX,
        "seLinuxOptions.user": {None, ""},
        "seLinuxOptions.role": {None, ""},
        "seccompProfile.type": {None, "RuntimeDefault", "Localhost"},
        "appArmorProfile.type": {None, "RuntimeDefault", "Localhost"},
    }
    for field, allowed in taken.items():
        outer, _, inner = field.partition(".")
        value = (context.get(outer) or {}).get(inner) if inner else context.get(outer)
        if value not in allowed:
            yield f"{field} is {value}"
    yield from (f"adds {each}" for each in context.get("capabilities", {}).get("add", []) if each not in _ADDABLE)
    yield from (f"sysctl {each['name']}" for each in context.get("sysctls", []) if each["name"] not in _SYSCTLS)


def _hosts(container: Manifest) -> Iterator[tuple[str, Any]]:
    """Since Kubernetes 1.34: a probe or hook that names a host makes the kubelet call it."""
    handlers = {name: container.get(name) or {} for name in _HANDLERS} | container.get("lifecycle", {})
    for name, handler in handlers.items():
        for way in ("httpGet", "tcpSocket"):
            yield name, (handler.get(way) or {}).get("host")


def _restricted(pod: Pod) -> Iterator[str]:
    yield from _baseline(pod)
    for volume in pod.spec.get("volumes", []):
        yield from (f"volume {volume['name']}: {kind}" for kind in volume.keys() - {"name"} - _VOLUMES)
    outer = pod.spec.get("securityContext", {})
    for each in pod.containers:
        own = each.get("securityContext", {})
        held = {**outer, **own}
        capabilities = own.get("capabilities", {})
        wrong = {
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
            "runAsNonRoot": held.get("runAsNonRoot") is not True,
            "runAsUser": held.get("runAsUser") == 0,
            "seccompProfile": (held.get("seccompProfile") or {}).get("type") not in {"RuntimeDefault", "Localhost"},
            "capabilities.drop": "ALL" not in capabilities.get("drop", []),
            "capabilities.add": not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        }
        yield from (f"{each['name']}: {field}" for field, is_wrong in wrong.items() if is_wrong)
    if outer.get("runAsUser") == 0:
        yield "pod: runAsUser"


LEVELS: Mapping[str, Check] = {"privileged": lambda pod: iter(()), "baseline": _baseline, "restricted": _restricted}


def refusals(pod: Pod, level: str) -> Sequence[str]:
    """What the standard of this level has against the pod."""
    return list(LEVELS[level](pod))
