"""`archloop evaluate` and `archloop novelty`: the services' own work on files, without a run."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from archloop import protocols
from archloop.contracts.values import Evaluation
from archloop.errors import NotFound
from services.evaluator.app import evaluator
from services.evaluator.settings import EvaluatorSettings
from services.novelty.compare import Comparison, compare

_MEASURES = (
    *("parameters", "flops", "activation_bytes", "uncounted", "precision", "memory_format"),
    *("seconds", "seconds_per_step", "peak_memory_bytes"),
)
_FIELDS = ("outcome", "stage", "detail", "accuracy", "test_accuracy", *_MEASURES, "sandbox_level", "device")
err = Console(stderr=True)


async def evaluate(files: list[Path], protocol_name: str, *, as_json: bool) -> None:
    """Score every file on all slots; lines come in the order of the files."""
    protocol = protocols.load(protocol_name)
    sources = [(path, _read(path)) for path in files]
    async with evaluator(EvaluatorSettings()) as judge:
        tasks = [asyncio.ensure_future(judge.evaluate(text, protocol)) for _, text in sources]
        for (path, _), task in track(list(zip(sources, tasks, strict=True)), "evaluating", console=err, transient=True):
            line = _record(path, await task)
            print(json.dumps(line) if as_json else _evaluated(line), flush=True)


def novelty(paths: list[Path], threshold: float, *, as_json: bool) -> None:
    """Judge every file against those before it."""
    files = [(str(path), _read(path)) for path in _expand(paths)]
    for comparison in compare(files, threshold):
        print(json.dumps(comparison._asdict()) if as_json else _judged(comparison), flush=True)


def _expand(paths: Iterable[Path]) -> list[Path]:
    return [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]


def _read(path: Path) -> str:
    if not path.is_file():
        raise NotFound("file", str(path))
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _record(path: Path, evaluation: Evaluation) -> dict[str, Any]:
    values = evaluation.model_dump(mode="json")
    return {"file": str(path), "sha256": evaluation.code_sha256, **{name: values[name] for name in _FIELDS}}


def _evaluated(line: dict[str, Any]) -> str:
    accuracy = "     –" if line["accuracy"] is None else f"{line['accuracy']:6.3f}"
    return f"{line['outcome']:<15}{accuracy}  {line['seconds']:6.2f} s  {line['file']}  {line['detail']}"


def _judged(comparison: Comparison) -> str:
    if comparison.verdict is None:
        return f"{'unreadable':<17}    –  {'':<15}  {comparison.file}  {comparison.problem}"
    nearest = f"  nearest {comparison.nearest}" if comparison.nearest else ""
    return f"{comparison.verdict:<17}{comparison.similarity:5.2f}  {comparison.family:<15}  {comparison.file}{nearest}"
