"""Every protocol that ships trains networks that are known to be good, whatever they are trained with and on.

Real images where they come with a package, else miniature ones in the form in which real ones are prepared. Only the
numbers of images are less than what ships.
"""

import asyncio

import pytest
import pytest_asyncio
import torch

from archloop import protocols
from archloop.contracts.values import Evaluation, Outcome
from archloop.protocols import Protocol
from services.evaluator.app import opened_evaluator
from services.evaluator.datasets import preparing
from services.evaluator.evaluator import Evaluator
from services.evaluator.settings import EvaluatorSettings
from tests.known_good import SOURCES
from tests.unit.evaluator import miniature
from tests.unit.evaluator.support import unvarying

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

# Training images: as few as all five networks learn from in one epoch.
TRAIN = {
    "cifar10": 1280,
    "cifar10-mini": 1600,
    "cifar100": 1920,
    "digits": 1200,
    "mnist5k": 1280,
    "paper-cifar10": 400,
    "paper-cifar100": 560,
    "paper-svhn": 400,
    "shapes": 1600,
    "shapes32": 640,
    "svhn": 1280,
}
PREPARED = {"cifar10": 10, "cifar100": 100, "svhn": 10}
# How far two trainings of one network that differ in rounding alone may lie apart, and five on average.
NOISE, MEAN_NOISE = 0.2, 0.08


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evaluator(tmp_path_factory):
    """The evaluator as it ships, on two slots."""
    root = tmp_path_factory.mktemp("data")
    for name, classes in PREPARED.items():
        source = miniature.banded_source(classes, train=2200, test=128)
        preparing.prepare(root, name, lambda source=source: source, lambda *_: None)
    async with opened_evaluator(EvaluatorSettings(data_dir=root, slots=2)) as evaluator:
        yield evaluator


def reduced(name: str, **changed: object) -> Protocol:
    protocol = protocols.load(name)
    heldout = {"validation": 128, "test": 64} if protocol.resize else {"validation": 256, "test": 128}
    dataset = protocol.dataset.model_copy(update={"train": TRAIN[name], **heldout})
    return protocol.model_copy(update={"dataset": dataset} | changed)


async def scored(evaluator: Evaluator, protocol: Protocol) -> dict[str, Evaluation]:
    """All five networks, by name."""
    told = await asyncio.gather(*(evaluator.evaluate(code, protocol) for code in SOURCES.values()))
    assert_learnt(found := dict(zip(SOURCES, told, strict=True)), protocol)
    return found


def assert_learnt(told: dict[str, Evaluation], protocol: Protocol) -> None:
    """Each network is far above chance, and was trained as the protocol asks as far as it could be."""
    classes = protocol.dataset.classes
    far_above = 0.4 if classes == 10 else 10 / classes
    for name, one in told.items():
        assert one.outcome is Outcome.OK, f"{name}: {one.outcome} {one.detail}"
        assert min(one.accuracy, one.test_accuracy) > far_above, name
        views = name == "viewing"
        assert one.precision == (protocol.precision or "float32"), name
        assert one.memory_format == ("contiguous" if views else protocol.memory_format or "contiguous"), name
        assert one.loss_curve[-1] < one.loss_curve[0], name


def assert_same(told: dict[str, Evaluation], other: dict[str, Evaluation]) -> None:
    """Each network does as well both times, within noise."""
    apart = {name: told[name].accuracy - other[name].accuracy for name in SOURCES}
    assert max(map(abs, apart.values())) < NOISE, apart
    assert abs(sum(apart.values())) / len(apart) < MEAN_NOISE, apart


def opposite(protocol: Protocol) -> dict[str, str | None]:
    """The other precision and the other memory format."""
    return {
        "precision": None if protocol.precision else "bfloat16",
        "memory_format": None if protocol.memory_format else "channels_last",
    }


def test_every_protocol_that_ships_is_exercised():
    assert list(TRAIN) == protocols.names()


# These have another of the class counts, data sets or sizes that the others have, and take two and a half minutes.
LONG = ("cifar100", "paper-cifar100", "paper-svhn", "shapes32", "svhn")
SHIPPED = [pytest.param(name, marks=pytest.mark.thorough) if name in LONG else name for name in TRAIN]


@pytest.mark.parametrize("name", SHIPPED)
async def test_known_good_networks_learn_as_it_ships_and_under_the_opposite_conditions(evaluator, name):
    protocol = reduced(name)
    assert_same(await scored(evaluator, protocol), await scored(evaluator, reduced(name, **opposite(protocol))))


@pytest.mark.parametrize("name", [pytest.param("cifar10", marks=pytest.mark.thorough), "digits"])
async def test_neither_precision_nor_memory_format_matters_alone(evaluator, name):
    precise = reduced(name, precision=None, memory_format="channels_last")
    coarse = reduced(name, precision="bfloat16", memory_format=None)
    assert_same(await scored(evaluator, precise), await scored(evaluator, coarse))


@pytest.mark.parametrize("name", ["cifar10", "digits"])
@pytest.mark.parametrize("net", SOURCES)
async def test_both_slots_tell_the_same_to_the_last_digit(evaluator, name, net):
    """On fewer images than it takes to learn: there is nothing to be learnt here."""
    whole = reduced(name)
    few = reduced(name, dataset=whole.dataset.model_copy(update={"train": TRAIN[name] // 4}))
    told = await asyncio.gather(*(evaluator.evaluate(SOURCES[net], few) for _ in range(2)))
    assert told[0].outcome in {Outcome.OK, Outcome.BELOW_CHANCE}, told[0].detail
    assert told[0].loss_curve
    assert unvarying(told[0]) == unvarying(told[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
@pytest.mark.parametrize("name", ["cifar10", "digits", "paper-cifar10"])
async def test_a_gpu_tells_what_the_cpu_tells(evaluator, name):
    settings = EvaluatorSettings(data_dir=evaluator.load.keywords["root"], gpus="0")
    async with opened_evaluator(settings) as on_gpu:
        found = await scored(on_gpu, reduced(name))
    assert {one.device for one in found.values()} == {"cuda:0"}
    assert_same(await scored(evaluator, reduced(name)), found)
