"""What is asked of Kubernetes so that a model server comes and goes, against a double of its API server."""

import asyncio
from pathlib import Path

import pytest
import yaml

from archloop.errors import Misconfigured, Unavailable
from archloop.ops.http import listening
from services.generator.backends.kubernetes_launcher import KubernetesLauncher, filled
from services.generator.backends.rolling import Rolling, Times
from tests.servers.kubernetes_double import KubernetesDouble
from tests.unit.generator.fakes import FakeBackend

COMPONENT = Path(__file__).parents[2] / "deploy/k8s/components/tgi-roll"
TEMPLATE = COMPONENT / "template.yaml"
ADAPTERS = {"code-v1": Path("/adapters/code-v1-0a"), "code-v0": Path("/adapters/code-v0-0b")}


@pytest.fixture
async def api():
    double = KubernetesDouble("the token")
    async with listening(double.application(), "127.0.0.1", 0, "PORT") as double.url:
        yield double


@pytest.fixture
def launcher(api, tmp_path):
    (tmp_path / "token").write_text("the token\n")
    (tmp_path / "namespace").write_text("models")
    return KubernetesLauncher(TEMPLATE, "generator-0", api.url, tmp_path, look_s=0.01)


async def test_a_deployment_and_its_service_are_made_of_the_template(launcher, api):
    running = await launcher.start(ADAPTERS)
    name = running.name
    assert running.url == f"http://{name}:8080"
    assert [(method, path.split("?")[0]) for method, path, _ in api.requests] == [
        ("GET", "apis/apps/v1/namespaces/models/deployments"),
        ("GET", "api/v1/namespaces/models/pods/generator-0"),
        ("POST", "apis/apps/v1/namespaces/models/deployments"),
        ("POST", "api/v1/namespaces/models/services"),
        ("GET", f"apis/apps/v1/namespaces/models/deployments/{name}"),
    ]
    deployment, service = (body for _, _, body in api.requests if body)
    labels = {"archloop.dev/model-server": name}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "generator-0", "uid": "uid-of-the-pod"}
    assert deployment["metadata"] == {
        "name": name,
        "labels": labels | {"archloop.dev/started-by": "generator-0"},
        "ownerReferences": [owner],
    }
    assert deployment["spec"]["selector"] == {"matchLabels": labels}
    pod = deployment["spec"]["template"]
    assert pod["metadata"]["labels"] == labels
    container = pod["spec"]["containers"][0]
    ours = {"LORA_ADAPTERS": "code-v1=/adapters/code-v1-0a,code-v0=/adapters/code-v0-0b", "CUDA_GRAPHS": "0"}
    assert {each["name"]: each["value"] for each in container["env"]}.items() >= ours.items()
    assert container["args"][4:6] == ["--cuda-graphs", "0"]
    assert pod["spec"]["terminationGracePeriodSeconds"] > 610  # what TGI waits for requests in hand
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": f"uid-of-{name}"}
    assert service["metadata"]["ownerReferences"] == [owner]
    assert service["spec"] == {"ports": [{"port": 8080, "targetPort": 8080}], "selector": labels}


async def test_it_is_started_once_its_pods_are_ready(launcher, api):
    counts = iter([0, 0, 1])
    api.ready = lambda _: next(counts)
    await launcher.start({})
    assert next(counts, None) is None


async def test_stopping_deletes_it_and_twice_is_as_once(launcher, api):
    running = await launcher.start({})
    ended = asyncio.create_task(running.ended())
    await running.stop()
    await running.stop()
    assert (api.deployments, api.services) == ({}, {})
    assert "has been deleted" in await ended
    _, path, _ = next(each for each in api.requests if each[0] == "DELETE")
    assert path == f"apis/apps/v1/namespaces/models/deployments/{running.name}?propagationPolicy=Background"


async def test_what_an_earlier_process_of_the_pod_has_left_goes_and_nothing_else(launcher, api):
    labels = {"archloop.dev/started-by": "generator-0"}
    api.deployments["tgi-left"] = {"metadata": {"name": "tgi-left", "labels": labels}}
    api.deployments["other"] = {"metadata": {"name": "other", "labels": {}}}
    names = {(await launcher.start({})).name for _ in range(2)}
    assert api.deployments.keys() == {"other", *names}


async def test_what_could_not_be_deleted_goes_with_the_next_start(launcher, api, tmp_path):
    running = await launcher.start({})
    (tmp_path / "token").write_text("expired")
    with pytest.raises(Unavailable):
        await running.stop()
    (tmp_path / "token").write_text("the token")
    assert running.name in api.deployments
    assert api.deployments.keys() - {(await launcher.start({})).name} == set()


async def test_half_a_start_is_undone(launcher, api):
    api.refuses_services = True
    with pytest.raises(Unavailable, match="services is forbidden"):
        await launcher.start({})
    assert api.deployments == {}


async def test_a_start_that_is_given_up_is_undone(launcher, api):
    api.ready = lambda _: 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await launcher.start({})
    assert api.deployments == {}


async def test_without_a_service_account_or_with_a_wrong_one_it_says_so(launcher, api, tmp_path):
    (tmp_path / "token").write_text("another")
    with pytest.raises(Unavailable, match="Unauthorized"):
        await launcher.start({})
    (tmp_path / "token").unlink()
    with pytest.raises(Unavailable, match="service account"):
        await launcher.start({})


async def test_a_roll_replaces_the_deployment_and_one_that_somebody_deletes_comes_back(launcher, api):
    backend = Rolling(launcher, lambda url, adapters: FakeBackend(), Times(10, 1))
    await backend.base()
    (first,) = api.deployments
    await backend.load("code-v1", Path("/adapters/code-v1"))
    assert len(api.deployments) == 2
    await backend.adopt("code-v1")
    while first in api.deployments:
        await asyncio.sleep(0.01)
    (second,) = api.deployments
    del api.deployments[second]
    while not api.deployments or not await backend.ready():
        await asyncio.sleep(0.01)
    (third,) = api.deployments.values()
    environment = third["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "LORA_ADAPTERS", "value": "code-v1=/adapters/code-v1"} in environment
    await backend.close()
    assert api.deployments == {}


def test_the_prefix_cache_is_never_on_and_other_variables_stay():
    template = yaml.safe_dump_all(
        [
            {"kind": "Service", "spec": {"ports": [{"port": 80}]}},
            {
                "kind": "Deployment",
                "spec": {
                    "template": {"spec": {"containers": [{"env": _env(PREFIX_CACHING="1", CUDA_GRAPHS="4", A="b")}]}}
                },
            },
        ]
    )
    made = filled(template, "tgi-1", "generator-0", "")
    container = made.deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == _env(A="b", CUDA_GRAPHS="0", LORA_ADAPTERS="")


def _env(**values):
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.mark.parametrize("template", ["", "kind: Service", "kind: Deployment\n---\nkind: Service\n"])
def test_a_template_that_lacks_something_is_refused(template):
    with pytest.raises(Misconfigured, match="tgi_template"):
        filled(template, "tgi-1", "generator-0", "")


def test_the_role_allows_what_is_asked_for_and_no_more():
    role = next(each for each in yaml.safe_load_all((COMPONENT / "rbac.yaml").read_text()) if each["kind"] == "Role")
    assert {rule["resources"][0]: set(rule["verbs"]) for rule in role["rules"]} == {
        "deployments": {"create", "get", "list", "delete"},
        "services": {"create"},
        "pods": {"get"},
    }
