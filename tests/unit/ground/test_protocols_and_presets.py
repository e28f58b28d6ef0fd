import pytest
from pydantic import ValidationError

from archloop import models, presets, protocols
from archloop.contracts.spec import SelectionSpec
from archloop.contracts.values import sha256_of
from archloop.errors import InvalidInput, NotFound
from archloop_lab import planning


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


MODELS = ["http://127.0.0.1:9/x", "a/b/c", "a--b", ".hidden/x", "a b", "café", "x.git", "x" * 97, "a/", "no\nline"]


@pytest.mark.parametrize("name", MODELS)
def test_a_name_that_no_model_can_have_is_refused_before_anything_is_planned(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"base_model: .* expected a model that ships"):
        planning.plan(presets.load("demo").model_copy(update={"base_model": name}), None)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cycles: -1\ncandidates: 4\nprotocol: shapes\n", "cycles"),
        ("cycles: 1\ncandidates: 4\nprotocol: shapes\ncylces: 2\n", "cylces"),
        ("cycles: 1\ncandidates: 4\nprotocol: shapes\ngeneration: {temperature: hot}\n", "temperature"),
        ("cycles: [", "YAML"),
        ("cycles: 1\ncandidates: 4\nprotocol: shapes\ncycles: 2\n", "'cycles' is given twice in line 4"),
        ("cycles: 1\n'cycles': 1\ncandidates: 4\nprotocol: shapes\n", "'cycles' is given twice in line 2"),
        ("selection: {minimum: 1, quota: 2, minimum: 3}\n", "'minimum' is given twice"),
        ('{"seed": 1, "cycles": 1, "seed": 1}', "'seed' is given twice"),
        ("x: &x {cycles: 3}\n<<: *x\n<<: *x\n", "'<<' is given twice in line 3"),
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


def test_a_protocol_keeps_its_hash_when_fields_are_added_that_it_does_not_use() -> None:
    expected = "130e498611b2752dae135dfed023186d48897ce0b2a001dbf67a9f55d30579cd"
    assert protocols.load("shapes").sha256 == expected
    assert protocols.load("shapes").model_copy(update={"resize": 32}).sha256 != expected


@pytest.mark.parametrize("name", ["", " ", "\t", "no\nline", "a\0b", "\x1b[31mtiny", "ti\u202eny", "ti\u200bny"])
def test_a_model_without_a_name_that_can_be_read_is_refused(name: str) -> None:
    content = presets.load("demo").model_dump() | {"base_model": name}
    with pytest.raises(InvalidInput, match="here: base_model: "):
        presets.checked(content, source="here")


@pytest.mark.parametrize("name", protocols.names())
def test_every_shipped_protocol_loads_and_has_its_own_name(name: str) -> None:
    assert protocols.load(name).name == name


def test_the_papers_protocol_is_the_papers() -> None:
    paper = protocols.load("paper-cifar10")
    assert (paper.batch, paper.epochs, paper.flip, paper.input_shape) == (16, 1, True, (3, 256, 256))
    assert paper.hyperparameters.model_dump() == {"lr": 0.01, "momentum": 0.9, "dropout": 0.2}
    assert paper.dataset == protocols.load("cifar10").dataset
    assert paper.dataset.train + paper.dataset.validation == 50_000


@pytest.mark.parametrize("given", ["{mean: [0.5], std: [0.5]}", "{mean: [0, 0, 0], std: [1, 0, 1]}"])
def test_figures_that_cannot_normalise_are_refused(tmp_path, given: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        protocols.model.catalogue.read("protocol", "shapes", protocols.model._FOLDER)[1] + f"normalise: {given}"
    )
    with pytest.raises(InvalidInput, match="normalise"):
        protocols.load(str(path))


def test_the_papers_preset_is_the_papers() -> None:
    paper = presets.load("paper")
    assert (paper.cycles, paper.protocol) == (22, "paper-cifar10")
    assert paper.base_model == "deepseek-ai/deepseek-coder-7b-instruct-v1.5"
    training, asked = paper.training, paper.generation
    assert (training.engine, training.quantization, training.r, training.alpha, training.dropout) == (
        *("trl", "nf4"),
        *(32, 32, 0.05),
    )
    assert (training.learning_rate, training.weight_decay, training.warmup_steps) == (1e-5, 0.01, 20)
    assert (training.epochs, training.batch_size, training.accumulation, training.max_length) == (5, 1, 8, 4096)
    assert (asked.temperature, asked.top_k, asked.top_p, asked.max_new_tokens) == (0.7, 100, 0.95, 2048)
