"""A double of as much of Kubernetes' API server as starting a model server needs. It remembers every request."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

_APPS, _CORE = "/apis/apps/v1/namespaces/{namespace}", "/api/v1/namespaces/{namespace}"


class KubernetesDouble:
    """`ready` says how many pods of a Deployment are, each time that it is asked for."""

    def __init__(self, token: str, ready: Callable[[str], int] = lambda _: 1) -> None:
        self.token, self.ready = token, ready
        self.pods = {"generator-0": {"metadata": {"name": "generator-0", "uid": "uid-of-the-pod"}}}
        self.deployments: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.refuses_services = False

    def application(self) -> FastAPI:
        app = FastAPI()
        app.middleware("http")(self._checked)
        app.get(f"{_CORE}/pods/{{name}}")(lambda name: self._found(self.pods, name))
        app.post(f"{_APPS}/deployments")(self._create_deployment)
        app.get(f"{_APPS}/deployments")(self._list)
        app.get(f"{_APPS}/deployments/{{name}}")(self._get_deployment)
        app.delete(f"{_APPS}/deployments/{{name}}")(self._delete)
        app.post(f"{_CORE}/services")(self._create_service)
        return app

    async def _checked(self, request: Request, proceed: Any) -> Any:
        body = await request.json() if request.method == "POST" else None
        self.requests.append((request.method, str(request.url).removeprefix(str(request.base_url)), body))
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        return await proceed(request)

    async def _create_deployment(self, request: Request) -> JSONResponse:
        body = await request.json()
        body["metadata"]["uid"] = f"uid-of-{body['metadata']['name']}"
        self.deployments[body["metadata"]["name"]] = body
        return JSONResponse(body, 201)

    async def _create_service(self, request: Request) -> JSONResponse:
        if self.refuses_services:
            return _status(403, 'services is forbidden: cannot create resource "services"')
        body = await request.json()
        self.services[body["metadata"]["name"]] = body
        return JSONResponse(body, 201)

    async def _list(self, labelSelector: str) -> dict[str, Any]:  # noqa: N803 - its name
        key, value = labelSelector.split("=")
        found = [each for each in self.deployments.values() if each["metadata"]["labels"].get(key) == value]
        return {"items": found}

    async def _get_deployment(self, name: str) -> JSONResponse:
        found = self.deployments.get(name)
        if found is None:
            return _status(404, f'deployments.apps "{name}" not found')
        return JSONResponse(found | {"status": {"readyReplicas": self.ready(name)}})

    async def _delete(self, name: str) -> JSONResponse:
        if self.deployments.pop(name, None) is None:
            return _status(404, f'deployments.apps "{name}" not found')
        self.services.pop(name, None)  # the garbage collector's work
        return JSONResponse({"kind": "Status", "status": "Success"})

    def _found(self, where: dict[str, Any], name: str) -> JSONResponse:
        return JSONResponse(where[name]) if name in where else _status(404, f'pods "{name}" not found')


def _status(code: int, message: str) -> JSONResponse:
    return JSONResponse({"kind": "Status", "status": "Failure", "message": message, "code": code}, code)
