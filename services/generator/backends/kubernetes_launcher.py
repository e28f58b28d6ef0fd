"""Starting text-generation-inference in the generator's own cluster: a Deployment and a Service each time."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import yaml
from typing_extensions import override

from archloop.errors import Misconfigured, Unavailable
from services.generator.backends.tgi_launcher import ENVIRONMENT, NEVER, Launcher, Running, rendered
from services.generator.transport import ServerClient

log = structlog.get_logger(__name__)

API = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LABEL, STARTED_BY = "archloop.dev/model-server", "archloop.dev/started-by"
_TIMEOUT_S, _LOOK_S, _MISSING = 30.0, 2.0, 404

Manifest = dict[str, Any]


class Manifests(NamedTuple):
    """Two objects of one model server."""

    deployment: Manifest
    service: Manifest


@dataclass
class KubernetesLauncher(Launcher):
    """Launcher of model servers in the cluster.

    `template` holds a Deployment and a Service; `pod` is the generator's own, with which its servers end. It talks to
    the API server with the pod's service account, which needs deploy/k8s/components/tgi-roll.
    """

    template: Path
    pod: str
    api: str = API
    account: Path = ACCOUNT
    look_s: float = _LOOK_S
    _ours: set[str] = field(default_factory=set, init=False)

    @override
    async def start(self, adapters: Mapping[str, Path]) -> "RunningDeployment":
        """Start a server, and return once as many pods are ready as the template wants."""
        name = f"tgi-{secrets.token_hex(5)}"
        made = filled(self.template.read_text(), name, self.pod, rendered(adapters))
        running = RunningDeployment(self, name, _port(made.service))
        async with self.talking() as (api, namespace):
            await self._sweep(api, namespace)
            self._ours.add(name)
            owner = (await api.get(f"/api/v1/namespaces/{namespace}/pods/{self.pod}")).checked()
            made.deployment["metadata"]["ownerReferences"] = [_owned_by(owner, "v1", "Pod")]
            try:
                deployment = (await api.post(_deployments(namespace), made.deployment)).checked()
                made.service["metadata"]["ownerReferences"] = [_owned_by(deployment, "apps/v1", "Deployment")]
                (await api.post(f"/api/v1/namespaces/{namespace}/services", made.service)).checked()
                await self._ready(api, f"{_deployments(namespace)}/{name}")
            except BaseException:
                await running.stop()
                raise
        log.info("a model server starts", deployment=name, adapters=sorted(adapters))
        return running

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[tuple[ServerClient, str]]:
        """Yield a client of the API server, and the namespace.

        It is made anew each time, since the token is replaced every hour.
        """
        try:
            token = (self.account / "token").read_text().strip()
            namespace = (self.account / "namespace").read_text().strip()
        except OSError as error:
            raise Unavailable(f"no service account to start model servers with: {error}") from error
        ca = self.account / "ca.crt" if self.api.startswith("https:") else None
        api = ServerClient(self.api, _TIMEOUT_S, token, ca)
        try:
            yield api, namespace
        finally:
            await api.close()

    def disown(self, name: str) -> None:
        """Let the next start delete this Deployment."""
        self._ours.discard(name)

    async def _sweep(self, api: ServerClient, namespace: str) -> None:
        """Delete Deployments that an earlier process in this pod has left."""
        mine = (await api.get(f"{_deployments(namespace)}?labelSelector={STARTED_BY}={self.pod}")).checked()["items"]
        for name in (each["metadata"]["name"] for each in mine):
            if name not in self._ours:
                await api.delete(f"{_deployments(namespace)}/{name}")

    async def _ready(self, api: ServerClient, path: str) -> None:
        while True:
            deployment = (await api.get(path)).checked()
            if deployment.get("status", {}).get("readyReplicas", 0) >= deployment["spec"].get("replicas", 1):
                return
            await asyncio.sleep(self.look_s)


@dataclass(frozen=True)
class RunningDeployment(Running):
    """Model server in the cluster, which starts its pods again."""

    launcher: KubernetesLauncher
    name: str
    port: int

    @property
    @override
    def url(self) -> str:
        return f"http://{self.name}:{self.port}"

    @override
    async def ended(self) -> str:
        """Return once somebody has deleted it."""
        while not await self._gone():
            await asyncio.sleep(self.launcher.look_s)
        return f"has been deleted ({self.name})"

    async def _gone(self) -> bool:
        with suppress(Unavailable):
            async with self.launcher.talking() as (api, namespace):
                return (await api.get(f"{_deployments(namespace)}/{self.name}")).status == _MISSING
        return False

    @override
    async def stop(self) -> None:
        """Delete the Deployment, and with it the Service; pods have the grace that the template gives them.

        Where it fails, the next start deletes it.
        """
        self.launcher.disown(self.name)
        async with self.launcher.talking() as (api, namespace):
            reply = await api.delete(f"{_deployments(namespace)}/{self.name}?propagationPolicy=Background")
            if reply.status != _MISSING:
                reply.checked()
        log.info("a model server has been deleted", deployment=self.name)


def filled(template: str, name: str, pod: str, adapters: str) -> Manifests:
    """Return the template's two objects under this name, serving these adapters. Raises Misconfigured."""
    found = {each.get("kind"): each for each in yaml.safe_load_all(template) if isinstance(each, dict)}
    try:
        deployment, service = found["Deployment"], found["Service"]
        selected = {LABEL: name}
        for each in (deployment, service):
            metadata = each.setdefault("metadata", {})
            metadata["name"] = name
            metadata.setdefault("labels", {}).update(selected | {STARTED_BY: pod})
        spec = deployment["spec"]
        spec["selector"] = {"matchLabels": selected}
        spec["template"].setdefault("metadata", {}).setdefault("labels", {}).update(selected)
        _serve(spec["template"]["spec"]["containers"][0], adapters)
        service["spec"]["selector"] = selected
        _port(service)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Misconfigured("tgi_template", f"no Deployment and Service of a model server: {error!r}") from error
    return Manifests(deployment, service)


def _serve(container: Manifest, adapters: str) -> None:
    ours = {**ENVIRONMENT, "LORA_ADAPTERS": adapters}
    kept = [each for each in container.get("env", []) if each["name"] not in {*ours, NEVER}]
    container["env"] = kept + [{"name": name, "value": value} for name, value in ours.items()]


def _port(service: Manifest) -> int:
    return int(service["spec"]["ports"][0]["port"])


def _deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def _owned_by(owner: Manifest, version: str, kind: str) -> Manifest:
    metadata = owner["metadata"]
    return {"apiVersion": version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
