"""TGI's HTTP, spoken by our CPU server over a real socket."""

import json

import httpx2
import pytest
from huggingface_hub import AsyncInferenceClient

pytestmark = pytest.mark.timeout(240)  # the first test starts the server

PROMPT = "class Net:"


@pytest.fixture
async def http(model_server):
    async with httpx2.AsyncClient(base_url=model_server, timeout=60) as client:
        yield client


async def generate(http, inputs=PROMPT, **parameters):
    return await http.post("/generate", json={"inputs": inputs, "parameters": {"max_new_tokens": 12, **parameters}})


def events(response):
    return [json.loads(line.removeprefix("data:")) for line in response.text.splitlines() if line.startswith("data:{")]


async def test_health_and_info_say_what_is_served(http, base_model):
    assert (await http.get("/health")).status_code == 200
    info = (await http.get("/info")).json()
    assert info["model_id"] == str(base_model)
    assert info["max_total_tokens"] == 256
    assert info["max_stop_sequences"] == 4


async def test_details_account_for_every_token(http):
    body = (await generate(http, details=True)).json()
    details = body["details"]
    assert details["generated_tokens"] == len(details["tokens"]) == 12
    assert details["finish_reason"] == "length"
    assert details["seed"] is None
    assert details["input_length"] == len(PROMPT) + 1, "one token a byte, and BOS"
    assert all(token["logprob"] < 0 for token in details["tokens"])


async def test_same_seed_same_tokens_other_seed_other_tokens(http):
    first, again, other = [
        (await generate(http, temperature=1.0, top_p=0.95, seed=seed, details=True)).json()["details"]
        for seed in (7, 7, 8)
    ]
    assert first == again
    assert first["seed"] == 7
    assert [t["id"] for t in other["tokens"]] != [t["id"] for t in first["tokens"]]


async def test_sampling_without_a_seed_tells_the_seed_that_was_drawn(http):
    drawn = (await generate(http, do_sample=True, details=True)).json()["details"]
    again = (await generate(http, do_sample=True, details=True, seed=drawn["seed"])).json()["details"]
    assert again == drawn


async def test_greedy_decoding_ignores_the_seed(http):
    one, two = [(await generate(http, seed=seed)).json()["generated_text"] for seed in (1, 2)]
    assert one == two


async def test_full_text_is_returned_when_asked_for_and_by_default_on_the_compat_route(http):
    alone = (await generate(http)).json()["generated_text"]
    assert (await generate(http, return_full_text=True)).json()["generated_text"] == PROMPT + alone
    body = {"inputs": PROMPT, "parameters": {"max_new_tokens": 12}}
    assert (await http.post("/", json=body)).json() == [{"generated_text": PROMPT + alone}]
    body["parameters"]["return_full_text"] = False
    assert (await http.post("/", json=body)).json() == [{"generated_text": alone}]


async def test_stop_sequence_ends_the_text_and_is_part_of_it(http):
    whole = (await generate(http, temperature=2.0, seed=3, details=True)).json()
    stop = whole["generated_text"][4]
    body = (await generate(http, temperature=2.0, seed=3, details=True, stop=["never there", stop])).json()
    assert body["details"]["finish_reason"] == "stop_sequence"
    assert body["generated_text"] == whole["generated_text"][: whole["generated_text"].index(stop) + 1]


async def test_stream_ends_with_the_whole_text_and_the_same_tokens(http):
    parameters = {"max_new_tokens": 12, "temperature": 1.0, "seed": 5, "details": True}
    whole = (await http.post("/generate", json={"inputs": PROMPT, "parameters": parameters})).json()
    response = await http.post("/generate_stream", json={"inputs": PROMPT, "parameters": parameters})
    assert response.headers["content-type"].startswith("text/event-stream")
    stream = events(response)
    assert [event["index"] for event in stream] == list(range(1, 13))
    assert [event["token"]["id"] for event in stream] == [token["id"] for token in whole["details"]["tokens"]]
    assert all(event["generated_text"] is None and event["details"] is None for event in stream[:-1])
    assert stream[-1]["generated_text"] == whole["generated_text"]
    assert stream[-1]["details"]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"temperature": 0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.0}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": 1000}, "max_new_tokens"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"stop": list("abcde")}, "stop"),
        ({"grammar": {"type": "regex", "value": "a"}}, "grammar"),
        ({"best_of": 2}, "best_of"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
    ],
)
async def test_a_wrong_parameter_is_refused_by_name(http, parameters, names):
    response = await generate(http, **parameters)
    assert response.status_code == 422
    assert response.json()["error_type"] == "validation"
    assert names in response.json()["error"]


@pytest.mark.parametrize("body", [{"inputs": ""}, {}, {"inputs": 3}, {"inputs": "x" * 300}, [], "no json"])
async def test_a_wrong_body_is_refused_in_the_same_form(http, body):
    content = body if isinstance(body, str) else json.dumps(body)
    response = await http.post("/generate", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json().keys() == {"error", "error_type"}


async def test_a_lone_surrogate_in_the_prompt_is_refused_and_harms_nothing(http):
    content = b'{"inputs": "\\ud800"}'
    response = await http.post("/generate", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert (await generate(http)).status_code == 200


async def test_huggingface_hub_reads_answers_and_streams(model_server):
    async with AsyncInferenceClient(base_url=model_server, api_key="none", timeout=60) as client:
        options = {"max_new_tokens": 12, "seed": 5, "temperature": 1.0, "return_full_text": False}
        whole = await client.text_generation(PROMPT, details=True, **options)
        pieces = [p async for p in await client.text_generation(PROMPT, details=True, stream=True, **options)]
    assert pieces[-1].generated_text == whole.generated_text
    assert [p.token.id for p in pieces] == [t.id for t in whole.details.tokens]
