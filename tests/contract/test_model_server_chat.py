"""OpenAI's chat route on our CPU server, as huggingface_hub speaks it."""

import httpx2
import pytest
from huggingface_hub import AsyncInferenceClient

from services.generator.backends.hub import Hub
from services.generator.backends.port import Decoding
from services.generator.modelserver.texts import Texts
from tests.unit.generator.tiny_model import CHAT_TEMPLATE, tokenizer

pytestmark = pytest.mark.timeout(240)  # the first test starts the server

MESSAGES = [{"role": "user", "content": "Write a network."}]


@pytest.fixture
async def client(model_server):
    async with AsyncInferenceClient(base_url=model_server, api_key="none", timeout=60) as client:
        yield client


async def test_without_chat_template_the_content_is_the_raw_prompt(client):
    chat = await client.chat_completion(MESSAGES, model="tgi", max_tokens=9, temperature=0.0)
    raw = await client.text_generation(MESSAGES[0]["content"], max_new_tokens=9, return_full_text=False)
    assert chat.choices[0].message.content == raw
    assert chat.choices[0].finish_reason == "length"
    assert (chat.usage.completion_tokens, chat.usage.total_tokens) == (9, 9 + len(MESSAGES[0]["content"]) + 1)


def test_with_a_chat_template_the_turns_are_rendered_by_it():
    texts = Texts(tokenizer(CHAT_TEMPLATE))
    assert texts.decode(texts.encode_chat(MESSAGES)) == "<|user|>Write a network.<|assistant|>"


async def test_stream_says_the_same_and_why_it_ended(client):
    options = {"model": "tgi", "max_tokens": 9, "seed": 4, "temperature": 1.0}
    whole = await client.chat_completion(MESSAGES, **options)
    chunks = [c async for c in await client.chat_completion(MESSAGES, stream=True, **options)]
    # a character that the last token leaves open is only in the whole text
    streamed = "".join(chunk.choices[0].delta.content for chunk in chunks)
    assert whole.choices[0].message.content.startswith(streamed)
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_base_model_answers_under_its_own_name_and_as_tgi(client, base_model):
    options = {"max_tokens": 9, "temperature": 0.0}
    named = await client.chat_completion(MESSAGES, model=str(base_model), **options)
    assert named.choices == (await client.chat_completion(MESSAGES, model="tgi", **options)).choices
    assert named.model == str(base_model)


async def test_an_unknown_model_is_not_found(model_server):
    async with httpx2.AsyncClient(base_url=model_server) as http:
        response = await http.post("/v1/chat/completions", json={"messages": MESSAGES, "model": "code-v7"})
    assert response.status_code == 404
    assert "code-v7" in response.json()["error"]


@pytest.mark.parametrize("streams", [False, True])
async def test_chat_tells_the_log_probability_of_every_token_and_takes_top_k(model_server, streams):
    hub = Hub(model_server, 60, streams=streams)
    decoding = Decoding(9, temperature=0.7, top_p=0.9, top_k=5)
    try:
        text = await hub.text(MESSAGES[0]["content"], decoding, 4, None)
        chat = await hub.chat(MESSAGES[0]["content"], decoding, 4, None, "tgi")
    finally:
        await hub.close()
    assert chat.text == text.text
    assert chat.logprob == pytest.approx(text.logprob)
    assert (chat.usage.prompt_tokens, chat.usage.completion_tokens) == (
        text.usage.prompt_tokens,
        text.usage.completion_tokens,
    )


async def test_a_client_of_many_streams_is_replaced_and_the_old_one_closed(model_server, monkeypatch):
    monkeypatch.setattr("services.generator.backends.hub._STREAMS", 3)
    hub = Hub(model_server, 60, streams=True)
    clients = set()
    for _ in range(7):
        await hub.text("x", Decoding(2), None, None)
        clients.add(hub._connection.client)
    assert len(clients) == 3
    await hub.close()
