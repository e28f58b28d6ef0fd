import pytest
from pydantic import ValidationError

from archloop import models, presets, protocols
from archloop.contracts.spec import SelectionSpec
from archloop.contracts.values import sha256_of
from archloop.errors import InvalidInput, NotFound


@pytest.mark.parametrize("name", presets.names())
def test_every_shipped_preset_loads_and_names_a_shipped_protocol(name: str) -> None:
    assert presets.load(name).protocol in protocols.names()


@pytest.mark.parametrize("name", ["nonsense", "", "x" * 5000, "no\0name", "/", "x" * 300 + ".yaml"])
@pytest.mark.parametrize("module", [presets, protocols])
def test_an_unknown_name_lists_the_known_ones_be_it_one_that_no_file_can_have(module, name: str) -> None:
    with pytest.raises(NotFound, match=module.names()[0]):
        module.load(name)


@pytest.mark.parametrize("name", ["org/model", "x" * 5000, "no\0name"])
def test_a_model_that_is_nowhere_here_is_known_by_its_name(name: str) -> None:
    assert models.locate(name) == name
    assert models.fingerprint(name) == sha256_of(name)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cycles: -1\ncandidates: 4\nprotocol: shapes\n", "cycles"),
        ("cycles: 1\ncandidates: 4\nprotocol: shapes\ncylces: 2\n", "cylces"),
        ("cycles: 1\ncandidates: 4\nprotocol: shapes\ngeneration: {temperature: hot}\n", "temperature"),
        ("cycles: [", "YAML"),
    ],
)
def test_a_wrong_preset_file_is_refused_naming_the_field(tmp_path, text: str, named: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=named):
        presets.load(str(path))


def test_the_fallback_cannot_be_above_the_threshold() -> None:
    with pytest.raises(ValidationError, match="fallback_threshold"):
        SelectionSpec(threshold=0.3, fallback_threshold=0.4)


def test_a_protocol_hash_changes_with_anything_that_can_change_a_result() -> None:
    protocol = protocols.load("shapes")
    assert protocol.sha256 != protocol.model_copy(update={"batch": protocol.batch + 1}).sha256
    assert protocol.sha256 == protocol.model_copy(update={"description": "other words"}).sha256
