"""What of TGI's and OpenAI's parameters our CPU server takes without having them, and what it refuses."""

import re

import httpx2
import pytest

pytestmark = pytest.mark.timeout(240)  # the first test starts the server

MESSAGES = [{"role": "user", "content": "Write a network."}]


@pytest.fixture
async def http(model_server):
    async with httpx2.AsyncClient(base_url=model_server, timeout=60) as client:
        yield client


async def generate(http, route="/generate", **parameters):
    return await http.post(route, json={"inputs": "class Net:", "parameters": {"max_new_tokens": 3, **parameters}})


async def chat(http, **parameters):
    body = {"model": "tgi", "messages": MESSAGES, "max_tokens": 3, "temperature": 0, **parameters}
    return await http.post("/v1/chat/completions", json=body)


NOTHING = [
    {"best_of": 1},
    {"best_of": None, "stop": None, "details": None, "do_sample": None, "seed": None},
    {"repetition_penalty": 1.0},
    {"repetition_penalty": 1},
    {"frequency_penalty": 0.0},
    {"typical_p": 1.0, "best_of": 1, "watermark": False},
    {"top_n_tokens": 0, "decoder_input_details": False},
    {"truncate": None, "grammar": None, "adapter_id": None, "top_p": None, "temperature": None},
]


@pytest.mark.parametrize("parameters", NOTHING)
@pytest.mark.parametrize("route", ["/generate", "/generate_stream", "/"])
async def test_what_asks_for_nothing_is_taken(http, route, parameters):
    response, plain = await generate(http, route, **parameters), await generate(http, route)
    assert (response.status_code, response.text) == (200, plain.text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("best_of", 2), ("best_of", True), ("best_of", 0), ("repetition_penalty", 1.1), ("repetition_penalty", 0)],
        *[
            ("frequency_penalty", 0.5),
            ("frequency_penalty", -1),
            ("top_n_tokens", 1),
            ("typical_p", 0.9),
            ("typical_p", 0),
        ],
        *[("truncate", 100), ("truncate", 0), ("guided_grammar", 'start: "a"'), ("watermark", True)],
        *[("decoder_input_details", True), ("decoder_input_details", 1), ("min_p", 0.1), ("num_beams", 4)],
        *[
            ("stop_sequences", ["a"]),
            ("max_tokens", 3),
            ("presence_penalty", 1.0),
            ("response_format", {"type": "text"}),
        ],
    ],
)
async def test_what_would_be_ignored_is_refused_by_name(http, name, value):
    for route in ("/generate", "/generate_stream", "/"):
        response = await generate(http, route, **{name: value})
        assert response.status_code == 422
        assert response.json() == {
            "error": f"Input validation error: `parameters`: `{name}` is not supported by this server",
            "error_type": "validation",
        }


async def test_chat_answers_under_a_grammar(http):
    response = await chat(http, max_tokens=9, structured_outputs={"grammar": "start: /[01]{6}/"})
    [choice] = response.json()["choices"]
    assert re.fullmatch("[01]{6}", choice["message"]["content"])
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("given", [{}, {"grammar": ""}, {"json": {}}, {"grammar": "start: missing"}, "start: a", []])
async def test_chat_refuses_what_is_no_grammar(http, given):
    response = await chat(http, structured_outputs=given)
    assert response.status_code == 422


@pytest.mark.parametrize(
    "parameters",
    [
        {"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "top_logprobs": 0},
        {"stop": None, "seed": None, "n": None, "user": "me", "stream_options": None, "tools": None},
        {"top_p": 1, "response_format": {"type": "text"}, "tool_choice": "none", "tools": []},
        {"max_tokens": None, "max_completion_tokens": 3},
        {"max_tokens": 200, "max_completion_tokens": 3},
        {"store": True, "metadata": {"run": "1"}, "service_tier": "auto", "safety_identifier": "x"},
        {"stream_options": {"include_usage": True}, "parallel_tool_calls": True, "modalities": ["text"]},
        {"repetition_penalty": 1.0, "min_p": 0, "ignore_eos": False, "skip_special_tokens": True},
    ],
)
async def test_chat_takes_what_asks_for_nothing(http, parameters):
    response, plain = await chat(http, **parameters), await chat(http)
    assert response.status_code == 200, response.text
    assert response.json()["choices"] == plain.json()["choices"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("frequency_penalty", 0.5), ("presence_penalty", -0.1), ("n", 2), ("n", 0), ("n", True)],
        *[
            ("response_format", {"type": "json_object"}),
            ("response_format", {"type": "json_schema", "json_schema": {}}),
        ],
        *[
            ("logit_bias", {"5": -100}),
            ("top_logprobs", 5),
            ("tools", [{"type": "function"}]),
            ("tool_choice", "required"),
        ],
        *[("functions", [{"name": "f"}]), ("repetition_penalty", 1.2), ("min_p", 0.05), ("ignore_eos", True)],
        *[("guided_json", {}), ("reasoning_effort", "high"), ("guideline", "be kind"), ("audio", {"voice": "a"})],
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_chat_refuses_what_it_would_ignore(http, stream, name, value):
    response = await chat(http, stream=stream, **{name: value})
    assert response.status_code == 422
    assert response.json() == {
        "error": f"Input validation error: `{name}` is not supported by this server",
        "error_type": "validation",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("max_new_tokens", True), ("max_new_tokens", "3"), ("max_new_tokens", 3.0), ("seed", "7"), ("seed", 7.5)],
        *[("top_k", True), ("top_k", "5"), ("temperature", "0.5"), ("temperature", True), ("top_p", "0.5")],
        *[("do_sample", "yes"), ("do_sample", 1), ("details", "true"), ("return_full_text", 0), ("stop", "e")],
        *[("stop", [1]), ("stop", {"a": 1}), ("adapter_id", 7), ("max_new_tokens", [3])],
    ],
)
async def test_a_value_of_another_type_is_refused_by_name_as_tgi_does(http, name, value):
    response = await generate(http, **{name: value})
    assert response.status_code == 422
    assert response.json()["error"].startswith(f"Input validation error: `parameters.{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_tokens", "3"), ("seed", True), ("stream", "yes"), ("logprobs", 1), ("top_p", "1"), ("temperature", "0")],
)
async def test_so_does_a_chat(http, name, value):
    response = await chat(http, **{name: value})
    assert response.status_code == 422
    assert response.json()["error"].startswith(f"Input validation error: `{name}`: ")


def _said(content, **more):
    return {"messages": [{"role": "user", "content": content, **more}]}


@pytest.mark.parametrize(
    "parameters",
    [
        _said([{"type": "text", "text": "Write a network."}]),
        _said([{"type": "text", "text": "Write "}, {"type": "text", "text": "a network."}]),
        _said([{"type": "text", "text": ""}, {"type": "text", "text": "Write a network."}]),
        _said("Write a network.", name=None, tool_calls=None),
        _said("Write a network.", tool_calls=[], annotations=[], refusal=None),
    ],
)
async def test_a_message_may_be_of_parts_that_are_text(http, parameters):
    response, plain = await chat(http, **parameters), await chat(http)
    assert response.status_code == 200, response.text
    assert response.json()["choices"] == plain.json()["choices"]


@pytest.mark.parametrize(
    "parameters",
    [
        _said(None),
        _said(7),
        _said([]),
        _said({"type": "text", "text": "x"}),
        _said(["x"]),
        _said([{"type": "text"}]),
        _said([{"type": "text", "text": 7}]),
        _said([{"type": "text", "text": "x", "cache_control": {}}]),
        _said([{"type": "image_url", "image_url": {"url": "http://nowhere.example/a.png"}}]),
        _said([{"type": "text", "text": "x"}, {"type": "input_audio", "input_audio": {}}]),
        _said("x", name="me"),
        _said("x", tool_calls=[{"id": "1"}]),
        _said("x", cache_control={"type": "ephemeral"}),
        {"messages": [{"role": "developer", "content": "x"}]},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
    ],
)
async def test_any_other_message_is_refused_in_one_line(http, parameters):
    response = await chat(http, **parameters)
    assert response.status_code == 422
    assert response.json()["error"].startswith("Input validation error: `messages.0")
    assert "\n" not in response.json()["error"]


@pytest.mark.parametrize(
    ("route", "more"),
    [
        ("load_lora_adapter", {"load_inplace": True}),
        ("load_lora_adapter", {"base_model_name": "x"}),
        ("load_lora_adapter", {"is_3d_lora_weight": True}),
        ("unload_lora_adapter", {"lora_int_id": 3}),
        ("unload_lora_adapter", {"force": True}),
    ],
)
async def test_adapters_are_not_asked_for_in_vain(http, route, more):
    response = await http.post(f"/v1/{route}", json={"lora_name": "a", "lora_path": "/nowhere"} | more)
    assert (response.status_code, response.json()["error_type"]) == (422, "validation")
    assert "is not supported by this server" in response.json()["error"]


async def test_one_stop_sequence_may_stand_alone_in_a_chat(http):
    alone, listed = await chat(http, stop="e", max_tokens=20), await chat(http, stop=["e"], max_tokens=20)
    assert alone.json()["choices"] == listed.json()["choices"]


@pytest.mark.parametrize(
    "temperature", ["1e-320", "5e-324", "1e-46", "-1e-320", "1e39", "1e400", "NaN", "-0.0", "Infinity"]
)
async def test_a_temperature_that_is_none_in_32_bits_is_refused_in_one_line(http, temperature):
    body = f'{{"inputs": "a", "parameters": {{"temperature": {temperature}, "max_new_tokens": 3}}}}'
    response = await http.post("/generate", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json()["error"].startswith("Input validation error: `parameters.temperature`: ")
    assert "\n" not in response.json()["error"]


@pytest.mark.parametrize("temperature", [1e-44, 1e-9, 1e-3, 1e3, 3e38])
async def test_any_other_temperature_is_taken(http, temperature):
    assert (await generate(http, temperature=temperature, seed=1)).status_code == 200
    assert (await chat(http, temperature=temperature, seed=1)).status_code == 200


@pytest.mark.parametrize("temperature", [1e-320, 1e-50, 1e39, -1])
async def test_a_chat_refuses_them_too(http, temperature):
    response = await chat(http, temperature=temperature)
    assert (response.status_code, response.json()["error_type"]) == (422, "validation")
    assert "`temperature`" in response.json()["error"]


@pytest.mark.parametrize("path", ["/health", "/ping", "/", "/info", "/v1/models"])
async def test_whoever_asks_for_the_head_gets_it(http, path):
    response = await http.head(path)
    assert (response.status_code, response.content) == (200, b"")
    assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "kind"),
    [
        ("GET", "/generate", None, 405, "method_not_allowed"),
        ("DELETE", "/health", None, 405, "method_not_allowed"),
        ("POST", "/v1/completions", b"{}", 404, "not_found"),
        ("GET", "/metrics", None, 404, "not_found"),
        ("POST", "/generate", b'{"inputs": "a", "parameters": {"seed": ' + b"9" * 4400 + b"}}", 422, "validation"),
        ("POST", "/generate", b"\xff\xfe", 422, "validation"),
        ("POST", "/generate", b'{"inputs": "a", "add_special_tokens": false}', 422, "validation"),
        ("POST", "/generate", b'{"inputs": "a", "parameters": null}', 422, "validation"),
    ],
)
async def test_every_refusal_has_tgi_s_form(http, method, path, content, status, kind):
    response = await http.request(method, path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert response.json().keys() == {"error", "error_type"}
    assert response.json()["error_type"] == kind
