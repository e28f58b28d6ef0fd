"""Training pairs as JSON lines: what is written stays the same to the byte, what is read is named where it is wrong."""

import hashlib
import json

import pytest

from archloop.contracts.messages import TrainingRequested
from archloop.errors import InvalidInput
from archloop.training_pairs import TrainingPair, decoded, encoded, read
from archloop_lab import bootstrap_pairs
from archloop_lab.lemur import pairs as lemur_pairs
from archloop_lab.lemur.corpus import Kept
from services.generator.model_build import corpus
from services.registry.control.pairs import put_bootstrap
from services.registry.records import Source
from tests.unit.lemur import miniature
from tests.unit.registry.world import World, spec

TEXTS = [
    "plain",
    "é – 漢字 🎉",
    'quotes " and \\ back',
    "line\nfeed\r\n\ttab",
    "ends\u2028\u2029\x85\x0b\x0c\x1e",
    "\0\x01\x08\x7f\x1f",
    "</script>&<>'",
]
PAIRS = [TrainingPair(prompt=f"p {text}", completion=text) for text in TEXTS]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def trained_on(world: World) -> list[str]:
    return [message.pairs.sha256[:16] for message in world.published if isinstance(message, TrainingRequested)]


# Runs record these hashes, in events and manifests: other bytes for the same pairs are another training.
@pytest.mark.parametrize(("compact", "sha256"), [(False, "8e5e05102de849a7"), (True, "62b21692a39961d9")])
def test_pairs_are_written_as_ever(compact: bool, sha256: str) -> None:
    assert digest(encoded(pair.line(compact=compact) for pair in PAIRS)) == sha256


def test_networks_of_lemur_are_written_as_ever() -> None:
    kept = [Kept(f"n-{i}", miniature.PLAIN, "plain", f"n-{i // 4 * 4}", classifies=True) for i in range(8)]
    networks = lemur_pairs.usable(kept).networks
    found = lemur_pairs.written(networks, "train", seed=0, template="brief", protocol="cifar10")
    assert digest(encoded(pair.line() for pair in found)) == "e3767782c9489c1e"


def test_seed_networks_are_written_as_ever() -> None:
    written = corpus.write(0, 8, template="brief", among=["shapes"])
    assert digest(encoded(example.pair.line() for example in written)) == "e0f91cabc5a016d7"


async def test_a_run_trains_on_the_same_bytes_as_ever(tmp_path) -> None:
    world = World(tmp_path)
    await world.request(spec())
    await world.run_to_end()
    assert trained_on(world) == ["a61f1992b094a87b", "5a93944fe86055a6"]


async def test_what_a_run_began_with_is_replayed_to_the_byte(tmp_path) -> None:
    world = World(tmp_path)
    lines = ['{"prompt":"a","completion":"é b"}', '{"prompt": "a", "completion": "\u2028c"}']
    ref = await put_bootstrap(world.blobs, lines)
    await world.request(spec(bootstrap={"pairs": ref.model_dump(), "count": 2, "replay": True}))
    await world.run_to_end()
    assert trained_on(world) == ["15cd1b7ba594a98c", "42b4b389d96be75e", "17625e3bc83385bf"]


@pytest.mark.parametrize("compact", [False, True])
def test_what_is_written_is_read_back(tmp_path, compact: bool) -> None:
    path = tmp_path / "pairs.jsonl"
    content = encoded(pair.line(compact=compact) for pair in PAIRS)
    path.write_bytes(content)
    assert bootstrap_pairs.read(path) == decoded(content, "pairs/1.jsonl") == PAIRS


def test_a_bad_line_of_a_blob_is_named_by_its_key() -> None:
    with pytest.raises(InvalidInput, match=r"pairs/1\.jsonl:2: .* prompt has to be"):
        decoded(b'{"prompt": "p", "completion": "c"}\n{"completion": "c"}\n', "pairs/1.jsonl")


@pytest.fixture
async def usual(tmp_path_factory) -> list[int]:
    """How many pairs each training of a run has."""
    world = World(tmp_path_factory.mktemp("usual"))
    await world.request(spec())
    await world.run_to_end()
    return [message.pair_count for message in world.published if isinstance(message, TrainingRequested)]


@pytest.mark.parametrize("prompt", ["", " \n", "\ud83d", "write \udcff", "\ufeff\udc80"])
async def test_an_answer_that_no_trainer_could_read_is_not_trained_on(tmp_path, usual, prompt: str) -> None:
    world = World(tmp_path)
    source, changed = world.store.source, set[str]()

    async def without_prompt(candidate_id: str) -> Source | None:
        changed.update({candidate_id} if not changed else set())
        found = await source(candidate_id)
        return found.model_copy(update={"prompt": prompt}) if found and candidate_id in changed else found

    world.store.source = without_prompt
    await world.request(spec())
    await world.run_to_end()
    first, second = [message for message in world.published if isinstance(message, TrainingRequested)]
    for message in (first, second):
        assert message.pair_count == len(decoded(await world.blobs.get(message.pairs), message.pairs.key))
    assert (first.pair_count, second.pair_count) == (usual[0] - 1, usual[1] - 1)


GOOD = {"prompt": "p", "completion": "c"}


def _is_named(path, line):
    """The second line of a file is refused by its number, in few words that can be read."""
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line + b"\n")
    with pytest.raises(InvalidInput, match=r"pairs\.jsonl:2: ") as raised:
        read(path)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"prompt": "p"}',
        '{"prompt": 1, "completion": "c"}',
        '{"prompt": "p", "completion": null}',
        '{"prompt": "p", "completion": ["c"]}',
        '{"prompt": "p", "completion": true}',
        '{"prompt": "p", "completion": ""}',
        '{"prompt": "p", "completion": " \\n\\t"}',
        '{"prompt": "", "completion": "c"}',
        '{"prompt": "p", "completion": "\\ud800"}',
        '{"prompt": "\\udfff\\ud800", "completion": "c"}',
        '{"messages": [{"role": "user", "content": "p"}]}',
        "[]",
        "null",
        "7",
        '"text"',
        "NaN",
        "9" * 5000,
        "[" * 100_000,
        '{"prompt": "p", "completion": "c"} {"prompt": "p", "completion": "c"}',
        '{"prompt": "p", "completion": "a\tb"}',
        "prompt,completion",
    ],
)
def test_a_bad_line_is_named_with_its_file(tmp_path, line):
    _is_named(tmp_path / "pairs.jsonl", line.encode("utf-8"))


@pytest.mark.parametrize(
    "line",
    [
        '{"prompt": "é", "completion": "c"}'.encode("latin-1"),
        json.dumps(GOOD).encode("utf-16"),
        json.dumps(GOOD).encode("utf-32-be"),
        b'{"prompt": "\xff", "completion": "c"}',
        b'{"prompt": "\xed\xa0\x80", "completion": "c"}',
        b"\x1f\x8b\x08\x00",
        b'{"prompt": "p", "completion": "' + b"c" * (4 * 1024**2) + b'"}',
    ],
)
def test_bytes_that_are_no_text_or_too_many_are_named_too(tmp_path, line):
    _is_named(tmp_path / "pairs.jsonl", line)


@pytest.mark.parametrize(
    "content",
    [
        b"%s\r\n%s\r\n",
        b"\n\n%s\n \t\n%s",
        b"\xef\xbb\xbf%s\n%s\n",
        b"  %s  \n\t%s\t\n",
        b"%s\n%s\n\n\n",
    ],
)
def test_line_ends_blank_lines_and_a_mark_are_no_pairs(tmp_path, content):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(content % ((json.dumps(GOOD).encode(),) * 2))
    assert read(path) == [TrainingPair(**GOOD)] * 2


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e", "\r\n", "\0"])
@pytest.mark.parametrize("escaped", [True, False])  # control characters are escaped either way
def test_what_unicode_calls_a_line_break_within_a_text_ends_no_line(tmp_path, mark, escaped):
    path = tmp_path / "pairs.jsonl"
    pair = {"prompt": "p", "completion": f"a{mark}b"}
    path.write_text(json.dumps(pair, ensure_ascii=escaped) + "\n", newline="")
    assert read(path) == [TrainingPair(**pair)]


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n")
    with pytest.raises(InvalidInput, match="at least one pair"):
        read(path)


@pytest.mark.parametrize("text", TEXTS)
def test_a_rejected_answer_is_written_where_there_is_one_and_read_back(text: str) -> None:
    plain = TrainingPair(prompt="p", completion=text)
    both = plain.model_copy(update={"rejected": f"worse {text}"})
    assert set(json.loads(plain.line())) == {"prompt", "completion"}
    assert decoded(encoded([plain.line(), both.line(), both.line(compact=True)]), "b") == [plain, both, both]


@pytest.mark.parametrize("rejected", ['""', '" "', "1", "[]", '"\\ud800"'])
def test_a_rejected_answer_that_is_none_is_refused(rejected: str) -> None:
    with pytest.raises(InvalidInput, match=r"b:1: .* rejected has to be"):
        decoded(f'{{"prompt": "p", "completion": "c", "rejected": {rejected}}}\n'.encode(), "b")
