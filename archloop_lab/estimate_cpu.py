"""About how long a run with a small language model takes on this machine's cores; be ready for a factor of three.

The demo's 384 candidates took 272 to 334 s on two cores, smollm2's 72 half an hour beside other work: from these are
the figures below.
"""

from typing import NamedTuple

from archloop.contracts.spec import SEED_PROGRAM, RunSpec
from archloop.protocols.model import Protocol
from archloop_lab import estimate

START_S = 0.25  # of a candidate on a core: checks, building, held-out images
SECONDS_PER_MEGAPIXEL = 2.1  # a small network's epoch on a core, images of three channels
VALID = 0.8  # of the candidates train, once the model is tuned
UNITS = ((1, "s"), (60, "min"), (3600, "h"), (86_400, "days"), (365.25 * 86_400, "years"))


class Model(NamedTuple):
    """Tokens of a prompt, a whole network and an edit; seconds of the cores for a token read, written, trained on."""

    prompt: int
    answer: int
    edit: int
    read_s: float
    written_s: float
    trained_s: float

    def answered(self, spec: RunSpec) -> float:
        """Estimate the tokens of an answer; most candidates of a run that edits have a parent."""
        edited = spec.generation.edited
        return min(edited * self.edit + (1 - edited) * self.answer, spec.generation.max_new_tokens)


MODELS = {
    "tiny": Model(60, 83, 45, 0.0, 1e-3, 1e-4),
    "smollm2": Model(300, 530, 170, 1.7e-3, 1e-2, 5e-3),
    SEED_PROGRAM: Model(0, 0, 0, 0.0, 0.0, 0.0),
}


class CpuEstimate(NamedTuple):
    """Tokens read and written, and seconds of each kind of work; writing and evaluating share the cores."""

    tokens: int
    generate_s: float
    evaluate_s: float
    train_s: float

    @property
    def seconds(self) -> float:
        """From beginning to end."""
        return self.generate_s + self.evaluate_s + self.train_s


def of(spec: RunSpec, protocol: Protocol, bootstrap: int, slots: int) -> CpuEstimate:
    """Estimate a run that begins with so many pairs and evaluates so many candidates at a time."""
    model = MODELS.get(spec.base_model, MODELS["smollm2"])
    prompt, answer = round(estimate.prompt_tokens(spec, model.prompt, model.answer)), round(model.answered(spec))
    candidates = spec.cycles * spec.candidates
    asked = candidates - (spec.candidates if spec.generation.start == SEED_PROGRAM else 0)
    asked += spec.gate.candidates * 2 * (spec.cycles - 1) if spec.gate else 0
    steady = min(slots, spec.candidates)  # no cycle begins before the one before it has ended
    return CpuEstimate(
        tokens=asked * (prompt + answer),
        generate_s=asked * (prompt * model.read_s + answer * model.written_s),
        evaluate_s=candidates * (START_S + VALID * epoch_seconds(protocol)) / steady,
        train_s=estimate.pair_passes(spec, bootstrap) * (prompt + answer) * model.trained_s,
    )


def epoch_seconds(protocol: Protocol) -> float:
    """Estimate the seconds of all epochs of one network, within what the protocol gives it."""
    return min(core_seconds(protocol), protocol.limits.cpu_seconds)


def core_seconds(protocol: Protocol) -> float:
    """Estimate the seconds of all epochs of one network on a core, whatever the protocol gives it."""
    channels, height, width = protocol.input_shape
    megapixels = protocol.epochs * protocol.dataset.train * height * width / 1e6
    return SECONDS_PER_MEGAPIXEL * megapixels * channels / 3


def shown(seconds: float) -> str:
    """Write seconds in the largest unit of which there are two."""
    size, unit = next(((size, unit) for size, unit in reversed(UNITS) if seconds >= 2 * size), UNITS[0])
    return f"{max(1, round(seconds / size)):,} {unit}"
