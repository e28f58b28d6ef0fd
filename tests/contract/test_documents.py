"""The generated AsyncAPI and OpenAPI documents: valid, whole, and true of the code."""

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
import yaml

from archloop.contracts.messages import CATALOGUE
from archloop.contracts.topology import OTHERS, QUEUES, SENDERS
from archloop_cli.docs import drifted, fits, openapi, pages
from archloop_cli.docs.asyncapi import document

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OFFICIAL = fastjsonschema.compile(json.loads((HERE / "asyncapi-3.0.0.schema.json").read_bytes()), use_default=False)
DOCUMENT = document()
# Of the payload schemas, AsyncAPI's own dialect: a superset of draft 07.
DIALECT = "http://json-schema.org/draft-07/schema#"


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(reference: str) -> Any:
    node = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def payload(name: str) -> Any:
    schema = DOCUMENT["components"]["messages"][name]["payload"]
    whole = {"$schema": DIALECT, "components": DOCUMENT["components"], **schema}
    return fastjsonschema.compile(whole, use_default=False)


def golden(name: str) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads((HERE / f"golden/{name}.v1.json").read_bytes())
    return sample


def test_the_document_is_asyncapi_3() -> None:
    OFFICIAL(json.loads(json.dumps(DOCUMENT)))
    broken = copy.deepcopy(DOCUMENT)
    broken["operations"]["send.run.requested"]["action"] = "publish"
    with pytest.raises(fastjsonschema.JsonSchemaException):
        OFFICIAL(broken)


def test_the_published_document_has_the_bounds_defaults_and_queues_of_the_code() -> None:
    text = (ROOT / "docs/reference/asyncapi.yaml").read_bytes()
    published = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for part in ("channels", "operations", "components"):
        assert published[part] == json.loads(json.dumps(DOCUMENT[part])), "a change of the contract: make docs"


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 50
    for reference in found:
        assert isinstance(resolved(reference), dict)


def test_every_channel_has_an_operation_on_just_the_messages_that_it_carries() -> None:
    operations = {o["channel"]["$ref"]: o for o in DOCUMENT["operations"].values()}
    assert set(operations) == {f"#/channels/{name}" for name in DOCUMENT["channels"]}
    for reference, operation in operations.items():
        carried = {f"{reference}/messages/{name}" for name in resolved(reference)["messages"]}
        assert {m["$ref"] for m in operation["messages"]} == carried


def test_every_message_has_the_routing_key_that_it_travels_by() -> None:
    for message in CATALOGUE:
        channel = DOCUMENT["channels"][message.name]
        assert channel["address"] == message.name
        assert resolved(channel["bindings"]["$ref"])["amqp"]["exchange"]["name"] == "archloop.events"


def test_every_queue_takes_what_the_broker_routes_there() -> None:
    for queue in QUEUES:
        channel = DOCUMENT["channels"][f"queue.{queue.name}"]
        assert channel["x-binds"] == list(queue.binds)
        assert set(channel["messages"]) == {m.name for m in CATALOGUE if queue.wants(m.name)}
    assert set(DOCUMENT["channels"]["queue.adapters"]["messages"]) == {"adapter.trained"}


@pytest.mark.parametrize("name", [m.name for m in CATALOGUE])
def test_the_payload_schema_takes_the_golden_sample_and_no_other_data(name: str) -> None:
    validate = payload(name)
    validate(golden(name))
    for wrong in ({"type": "archloop.other.v1"}, {"id": ""}, {"data": {}}):
        with pytest.raises(fastjsonschema.JsonSchemaException):
            validate(golden(name) | wrong)


def test_an_optional_attribute_may_be_left_out() -> None:
    sample = golden("candidate.submitted")
    for name in ("traceparent", "attempt", "datacontenttype"):
        sample.pop(name)
    for name in ("cycle", "index", "novelty", "submitter"):
        sample["data"].pop(name)
    payload("candidate.submitted")(sample)


def made_in(service: str) -> set[str]:
    """The messages that a service's code makes: `X(…)`, `X.model_validate(…)`, or `X if … else Y` to be called."""
    names = {m.__name__: m.name for m in CATALOGUE}
    made: list[ast.expr] = []
    for path in (ROOT / "services" / service).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.IfExp):
                made += [node.body, node.orelse]
            elif isinstance(node, ast.Call):
                attribute = isinstance(node.func, ast.Attribute) and node.func.attr == "model_validate"
                made.append(node.func.value if attribute else node.func)
    return {names[e.id] for e in made if isinstance(e, ast.Name) and e.id in names}


def test_the_senders_are_those_whose_code_makes_the_message() -> None:
    said: dict[str, set[str]] = {m.name: set() for m in CATALOGUE}
    for service in ("generator", "evaluator", "novelty", "trainer", "registry"):
        for name in made_in(service):
            said[name].add(service)
    assert {name: set(senders) - {OTHERS} for name, senders in SENDERS.items()} == said


def test_openapi_tells_that_a_request_may_carry_a_trace() -> None:
    paths = json.loads(openapi())["paths"]
    for path in ("/runs", "/submissions"):
        (header,) = (p for p in paths[path]["post"]["parameters"] if p["in"] == "header")
        assert (header["name"], header["required"]) == ("traceparent", False)


def test_a_page_that_is_not_what_the_code_says_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs/reference").mkdir(parents=True)
    fits.PAGE.parent.mkdir()
    fits.PAGE.write_text((ROOT / fits.PAGE).read_text().replace("slot", "place"))
    assert drifted() == list(pages())
    for path, text in pages().items():
        path.write_text(text)
    assert drifted() == []
    Path("docs/reference/asyncapi.yaml").write_text("asyncapi: 2.6.0\n")
    command = [sys.executable, "-m", "archloop_cli.docs", "--check"]
    check = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (check.returncode, check.stdout.split()[0]) == (1, "docs/reference/asyncapi.yaml")
