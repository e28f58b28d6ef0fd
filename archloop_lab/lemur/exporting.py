"""A run's architectures in LEMUR's own file form, for nn-dataset to take in.

LEMUR's accuracy is that on the test split, and so is what is exported: the validation accuracy, by which Archloop
selects, goes along under a name of its own. Where a candidate has no test accuracy, the validation accuracy is both.
"""

import json
import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archloop.blobs import programs
from archloop.contracts.values import Evaluation
from archloop.errors import IntegrityError, InvalidInput, NotFound
from archloop.protocols import Protocol
from archloop_lab import files
from archloop_lab.lemur import rules
from archloop_lab.lemur.rules import METRIC, TASK, Config
from archloop_lab.lemur.sources import NN, STAT
from archloop_lab.run_directory import RunDirectory
from services.registry.records import CandidateQuery

VALIDATION = "validation_accuracy"
_DATASETS = {"cifar10": "cifar-10", "cifar100": "cifar-100"}
_TIMED = ("train", "predict")


async def export(directory: Path, out: Path, prefix: str, *, everything: bool) -> int:
    """Write what was admitted, or everything valid, and return how many that is. Raises NotFound, InvalidInput."""
    if not prefix or not prefix.isalnum():
        raise InvalidInput("--prefix", prefix, "letters and digits, for instance unq")
    run = RunDirectory(directory)
    protocol, written = _protocol(run), set[str]()
    async with run.opened() as (store, blobs):
        run_id = (await run.agreed(store)).run_id
        if await store.run(run_id) is None:
            raise NotFound("run", run_id)
        for candidate in (await store.candidates(CandidateQuery(run_id=run_id))).items:
            source = await store.source(candidate.candidate_id)
            wanted = candidate.valid if everything else candidate.admitted
            if wanted and candidate.submission is None and source is not None and candidate.evaluation is not None:
                code = await programs.text_of(source.code, blobs)
                written.add(_write(out, code, prefix, protocol, candidate.evaluation))
    return len(written)


def trial(evaluation: Evaluation, protocol: Protocol) -> dict[str, Any]:
    """Make one entry of a file of trials, its keys in LEMUR's order: the alphabet's."""
    side = protocol.input_shape[-1]
    prm = {
        **protocol.hyperparameters.model_dump(),
        "batch": evaluation.batch or protocol.batch,
        "transform": f"norm_{side}{'_flip' if protocol.flip else ''}",
    }
    tested = evaluation.accuracy if evaluation.test_accuracy is None else evaluation.test_accuracy
    measured = {
        "accuracy": tested,
        VALIDATION: evaluation.accuracy,
        "duration": _nanoseconds(evaluation),
        "epoch": protocol.epochs,
        "uid": rules.prm_uid(dict(sorted(prm.items()))),
    }
    return dict(sorted({**prm, **measured}.items()))


def _protocol(run: RunDirectory) -> Protocol:
    """Read the protocol as the run had it, whatever became of its file since."""
    stored = run.manifest().content.get("protocol") or {}
    try:
        return Protocol.model_validate({name: stored[name] for name in stored if name != "sha256"})
    except (ValidationError, TypeError):
        raise IntegrityError(f"{run.manifest_file} holds no valid protocol") from None


def _write(out: Path, code: str, prefix: str, protocol: Protocol, evaluation: Evaluation) -> str:
    """Write source and trial; a file of trials that is there is added to, the best first, as nn-dataset does it."""
    dataset = _DATASETS.get(protocol.dataset.name, protocol.dataset.name.replace("_", "-"))
    config = Config(TASK, dataset, METRIC, rules.nn_name(code, prefix))
    trials = out / STAT / config.folder / f"{protocol.epochs}.json"
    for folder in (out / NN, trials.parent):
        folder.mkdir(parents=True, exist_ok=True)
    files.write_text(out / NN / f"{config.nn}.py", code)
    found, own = _trials(trials), trial(evaluation, protocol)
    content = sorted(found if own in found else [*found, own], key=lambda each: -each["accuracy"])
    files.write_text(trials, json.dumps(content, indent=4))
    return config.nn


def _trials(path: Path) -> list[dict[str, Any]]:
    """Read what is there already. Raises IntegrityError where it is not what nn-dataset writes."""
    found: list[dict[str, Any]] = files.read_json(path, list) if path.exists() else []
    for each in found:
        accuracy = each.get("accuracy") if isinstance(each, dict) else None
        if not isinstance(accuracy, int | float) or not math.isfinite(accuracy):
            raise IntegrityError(f"{path} is no file of trials: each has to have a number as its accuracy")
    return found


def _nanoseconds(evaluation: Evaluation) -> int:
    """Return what LEMUR times: setting up, the epoch, the test."""
    seconds = sum(evaluation.stage_seconds.get(stage, 0.0) for stage in _TIMED) or evaluation.seconds
    return round(seconds * 1e9)
