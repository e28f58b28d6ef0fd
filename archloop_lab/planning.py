"""`archloop run --plan`: what a run will do, about how much it takes, and what is missing; nothing is started."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from archloop import models, protocols
from archloop.contracts.spec import SEED_PROGRAM, RunSpec
from archloop.errors import InvalidInput
from archloop.protocols.model import Protocol
from archloop_lab import bootstrap_pairs, estimate, estimate_cpu, placement, placing
from archloop_lab.estimate import Estimate
from archloop_lab.needs import ANY, Machine, Needs, Software, Wanted
from archloop_lab.placement import Placement
from services.evaluator.datasets import loading, prepared
from services.evaluator.settings import EvaluatorSettings


class Missing(NamedTuple):
    """Something that the run cannot do without, and how to get it."""

    what: str
    how: str


class Plan(NamedTuple):
    """What a run will do, in lines of a heading and a text, and what is missing for it."""

    steps: list[tuple[str, str]]
    costs: list[tuple[str, str]]
    places: list[tuple[str, str]]
    missing: list[Missing]


def plan(spec: RunSpec, pairs: Path | None, wanted: Wanted = ANY) -> Plan:
    """Find out what a run will do, and change nothing. Raises NotFound, InvalidInput for pairs that cannot be read."""
    protocol = protocols.load(spec.protocol)
    count = len(bootstrap_pairs.read(pairs)) if pairs else estimate.BOOTSTRAP * (spec.bootstrap is not None)
    found = estimate.of(spec, protocol, count)
    machine = Machine.here()
    places = _places(machine, Needs.of(spec, protocol), wanted)
    missing = list(_missing(spec, protocol, found, pairs))
    if isinstance(places, InvalidInput) and (machine.gpus or not missing or wanted != ANY):
        missing.append(Missing("room on this machine", str(places)))
    costs = _costs(protocol, found) if _on_gpus(spec) else _small_costs(spec, protocol, found, count)
    lines = [] if isinstance(places, InvalidInput) else list(placement.told(places))
    return Plan(list(_steps(spec, protocol, count)), list(costs), lines, missing)


def _places(machine: Machine, needs: Needs, wanted: Wanted) -> Placement | InvalidInput:
    """Return where the work goes, or what does not fit."""
    try:
        return placing.place(machine, needs, Software.here(), wanted)
    except InvalidInput as refusal:
        return refusal


def _steps(spec: RunSpec, protocol: Protocol, first_pairs: int) -> Iterator[tuple[str, str]]:
    s, t, g = spec.selection, spec.training, spec.generation
    yield "size", f"{spec.cycles} cycles × {spec.candidates} candidates, seed {spec.seed}"
    yield "language model", spec.base_model
    if spec.bootstrap is not None:
        again = ", replayed in every cycle" if spec.bootstrap.replay else ""
        yield "bootstrap", f"tunes on {first_pairs} pairs first{again}"
    prompts = f", {g.prompts} fixed prompts" if g.prompts else ""
    prompts += f", {g.answers} answers to each prompt" if g.answers > 1 else ""
    yield "generation", f"template {g.template}{prompts}, temperature {g.temperature}, top_p {g.top_p}, top_k {g.top_k}"
    if g.start != "llm":
        yield "first cycle", f"drawn by the {g.start}"
    if g.edited:
        guided = ", guided by its lines" if g.guided else ""
        yield "edits", f"{g.edited:.0%} of the candidates edit an earlier one, drawn from: {g.parents}{guided}"
    if g.memory != "none":
        yield "memory", f"{g.memory} of earlier cycles, in at most {g.memory_tokens} tokens of each prompt"
    yield "evaluation", f"{protocol.name}: {protocol.dataset.name}, {protocol.epochs} epoch, batch {protocol.batch}"
    if (rung := protocol.ladder) is not None:
        yield "ladder", f"{rung.share:g} of the images first, all only from the run's quantile {rung.quantile:g} on"
    yield "novelty", f"Jaccard below {spec.novelty.threshold}"
    learnt = ", edits no worse than their parents learnt from" if s.improving else ""
    yield "selection", f"{s.rule} {s.threshold}, down to {s.fallback_threshold} until there are {s.minimum}{learnt}"
    if spec.frozen:
        yield "training", "none: the frozen control"
    else:
        method = "" if t.method == "sft" else f"{t.method}, "
        yield (
            "training",
            f"{method}LoRA r {t.r}, alpha {t.alpha}, {t.quantization}, {t.learning_rate:g}, {t.epochs} epochs",
        )
    if (rule := spec.collapse) is not None:
        remedies = rule.model_dump(include={"temperature", "replay", "parents"}, exclude_none=True)
        does = ", ".join(f"{name} {value}" for name, value in remedies.items())
        yield "collapse", f"below {rule.below:.0%} novel of the valid, in up to {rule.steps} steps: {does}"
    if (asked := spec.confirm) is not None:
        yield "confirmation", f"the best {asked.count} once more, on {asked.seeds} other seeds"


def _costs(protocol: Protocol, found: Estimate) -> Iterator[tuple[str, str]]:
    yield "tokens", f"{found.tokens / 1e6:.1f} million, read and written"
    yield (
        "GPU-hours",
        (
            f"about {found.hours:.0f}: {found.generate_hours:.1f} to generate, {found.evaluate_hours:.0f} to evaluate,"
            f" {found.train_hours:.0f} to train; a factor of three either way"
        ),
    )
    yield "GPU memory", f"{found.serving_gb:.0f} GB to serve, {found.training_gb:.0f} GB to train"
    yield "disk", f"{found.disk_gb:.0f} GB, and the images of {protocol.dataset.name}"


def _small_costs(spec: RunSpec, protocol: Protocol, found: Estimate, pairs: int) -> Iterator[tuple[str, str]]:
    slots = EvaluatorSettings.load().slots
    here = estimate_cpu.of(spec, protocol, pairs, slots)
    evaluate, write, train = map(estimate_cpu.shown, (here.evaluate_s, here.generate_s, here.train_s))
    yield "tokens", f"{here.tokens / 1e6:.1f} million, read and written"
    yield (
        "time",
        (
            f"about {estimate_cpu.shown(here.seconds)} without a GPU: {evaluate} to evaluate {slots} at a time,"
            f" {write} to write, {train if here.train_s else 'nothing'} to train; a factor of three either way"
        ),
    )
    yield "disk", f"{found.disk_gb:,.0f} GB"
    if spec.budget.limits():
        yield "budget", ", ".join(f"{name} {limit:g}" for name, limit in spec.budget.limits().items())


def _missing(spec: RunSpec, protocol: Protocol, found: Estimate, pairs: Path | None) -> Iterator[Missing]:
    if not _has_model(spec.base_model):
        yield Missing(f"base model {spec.base_model}", _how_to_get(spec.base_model))
    if not _has_data(protocol):
        name = protocol.dataset.name
        yield Missing(f"data set {name}", f"`archloop data prepare {name}` fetches and prepares it")
    if _on_gpus(spec) and not _has_gpu():
        yield Missing("GPU", "run at a deployment with GPU nodes: --server URL (docs/how-to/paper.md)")
    if spec.training.quantization == "nf4" and importlib.util.find_spec("bitsandbytes") is None:
        yield Missing("bitsandbytes", "`pip install 'archloop[qlora]'` where the trainer runs")
    if spec.bootstrap is not None and pairs is None:
        yield Missing("pairs to begin with", "`archloop lemur import`, `curate` and `pairs` make them: --pairs FILE")
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < found.disk_gb:
        yield Missing("disk", f"{free:.0f} GB are free, about {found.disk_gb:.0f} GB are needed")


def _on_gpus(spec: RunSpec) -> bool:
    """Tell whether the model neither ships with the project nor is small enough to be fetched by it."""
    if spec.base_model == SEED_PROGRAM:
        return False
    return spec.base_model not in models.FETCHED and models.locate(spec.base_model) == spec.base_model


def _has_gpu() -> bool:
    return bool(EvaluatorSettings.load().gpus) or Path("/dev/nvidia0").exists()


def _has_model(name: str) -> bool:
    if name in models.FETCHED:
        return (models.folder_of(name) / "config.json").is_file()
    if name == SEED_PROGRAM or Path(models.locate(name)).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError as error:
        known = "a model that ships or can be fetched, a folder, or a hub id such as owner/name"
        raise InvalidInput("base_model", name, known) from error


def _how_to_get(name: str) -> str:
    if name in models.FETCHED:
        return f"`archloop model fetch {name}`, or let the run fetch it"
    return f"`hf download {name}` where the model server and the trainer run, or a folder that holds it"


def _has_data(protocol: Protocol) -> bool:
    name = protocol.dataset.name
    return name in loading.names() or prepared.folder(EvaluatorSettings.load().data_dir, name).is_dir()
