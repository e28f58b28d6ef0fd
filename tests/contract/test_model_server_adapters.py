"""Loading, choosing and unloading adapters on our CPU server while it serves."""

import asyncio

import httpx2
import pytest

pytestmark = pytest.mark.timeout(240)  # the first test starts the server

PROMPT = "class Net:"


@pytest.fixture
async def http(model_server):
    async with httpx2.AsyncClient(base_url=model_server, timeout=60) as client:
        yield client
        for model in (await client.get("/v1/models")).json()["data"]:
            if model["parent"]:
                await unload(client, model["id"])


async def load(http, name, folder):
    return await http.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(folder)})


async def unload(http, name):
    return await http.post("/v1/unload_lora_adapter", json={"lora_name": name})


async def generate(http, adapter, length=20):
    parameters = {"max_new_tokens": length, "adapter_id": adapter}
    return await http.post("/generate", json={"inputs": PROMPT, "parameters": parameters})


async def text(http, adapter):
    return (await generate(http, adapter)).json()["generated_text"]


async def test_each_adapter_answers_in_its_own_way_and_the_base_as_before(http, adapter_folders):
    base = await text(http, None)
    for number, folder in enumerate(adapter_folders):
        assert (await load(http, f"code-v{number}", folder)).status_code == 200
    texts = [await text(http, f"code-v{number}") for number in range(3)]
    assert len({base, *texts}) == 4
    assert await text(http, None) == base
    assert await text(http, "code-v0") == texts[0]


async def test_models_lists_the_base_and_what_is_loaded(http, base_model, adapter_folders):
    await load(http, "code-v1", adapter_folders[0])
    models = (await http.get("/v1/models")).json()["data"]
    assert [(m["id"], m["parent"]) for m in models] == [(str(base_model), None), ("code-v1", str(base_model))]


@pytest.mark.parametrize("route", ["/generate", "/generate_stream", "/"])
async def test_an_unknown_adapter_is_not_found_rather_than_the_base(http, route):
    response = await http.post(route, json={"inputs": PROMPT, "parameters": {"adapter_id": "code-v9"}})
    assert response.status_code == 404
    assert response.json()["error_type"] == "not_found"


async def test_a_taken_name_is_refused_and_free_again_after_unloading(http, adapter_folders):
    await load(http, "code-v1", adapter_folders[0])
    first = await text(http, "code-v1")
    assert (await load(http, "code-v1", adapter_folders[1])).status_code == 400
    assert await text(http, "code-v1") == first
    assert (await unload(http, "code-v1")).status_code == 200
    assert (await unload(http, "code-v1")).status_code == 404
    assert (await generate(http, "code-v1")).status_code == 404
    assert (await load(http, "code-v1", adapter_folders[1])).status_code == 200
    assert await text(http, "code-v1") != first


async def test_what_is_no_adapter_is_refused(http, base_model, tmp_path):
    assert (await load(http, "code-v1", tmp_path / "nowhere")).status_code == 404
    assert (await load(http, "code-v1", base_model)).status_code == 422
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"rubbish")
    response = await load(http, "code-v1", tmp_path)
    assert response.status_code == 422
    assert response.json()["error_type"] == "validation"
    assert (await generate(http, "code-v1")).status_code == 404


async def test_unloading_cuts_no_request_that_it_has_begun(http, adapter_folders):
    await load(http, "code-v1", adapter_folders[0])
    expected = (await generate(http, "code-v1", length=200)).json()
    running = [asyncio.create_task(generate(http, "code-v1", length=200)) for _ in range(20)]
    while not (await http.get("/info")).json()["running_requests"]:
        await asyncio.sleep(0)
    assert (await unload(http, "code-v1")).status_code == 200
    answers = await asyncio.gather(*running)
    begun = [answer for answer in answers if answer.status_code == 200]
    assert begun
    assert all(answer.json() == expected for answer in begun)
    assert all(answer.status_code == 404 for answer in answers if answer not in begun)
