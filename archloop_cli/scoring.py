"""`archloop evaluate` and `archloop novelty`: the services' own work on files, without a run."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archloop import protocols, sources
from archloop.contracts.values import Evaluation, Outcome, sha256_of
from archloop.protocols.model import Protocol
from archloop.sources import UndecodableSource
from archloop_cli import terminal, walking
from archloop_cli.bars import bars
from archloop_cli.walking import Found, Skipped
from services.evaluator.app import opened_evaluator
from services.evaluator.evaluator import Evaluator
from services.evaluator.settings import EvaluatorSettings
from services.evaluator.tracing import traced

if TYPE_CHECKING:
    from services.novelty.compare import Comparison

_MEASURES = (
    *("parameters", "flops", "activation_bytes", "uncounted", "graph_sha256", "untraced"),
    *("precision", "memory_format"),
    *("seconds", "seconds_per_step", "peak_memory_bytes"),
)
_FIELDS = ("outcome", "stage", "detail", "accuracy", "test_accuracy", *_MEASURES, "sandbox_level", "device")


async def evaluate(files: list[Path], protocol_name: str, *, as_json: bool) -> None:
    """Score every file on all slots; lines come in the order of the files."""
    protocol = protocols.load(protocol_name)
    read = [(path, _text(walking.read(path))) for path in files]
    async with opened_evaluator(EvaluatorSettings.load()) as evaluator:
        tasks = [asyncio.ensure_future(_evaluation(evaluator, text, protocol)) for _, text in read]
        try:
            with bars(transient=True) as advance:
                for done, ((path, _), task) in enumerate(zip(read, tasks, strict=True), 1):
                    line = _record(path, await task)
                    terminal.put_json(line) if as_json else terminal.put(_evaluated(line))
                    advance("evaluating", done, len(tasks))
        finally:
            await _ended(tasks)


def novelty(paths: list[Path], threshold: float, protocol_name: str | None = None, *, as_json: bool) -> int:
    """Judge every file against those before it; 1 where one in a folder could not be read, or there was none.

    By their graphs too where a protocol is named, at whose input shape they are built in the sandbox.
    """
    from services.novelty.compare import compare  # of no use to whoever evaluates, and slow to import

    protocol = protocols.load(protocol_name) if protocol_name else None
    found = list(walking.sources(paths))
    files = [(str(each.path), _text(each.content)) for each in found if isinstance(each, Found)]
    skipped = [each for each in found if isinstance(each, Skipped)]
    for each in skipped:
        terminal.say(f"{each.path}: {each.why}", mark="skipped", style="yellow")
    graphs = asyncio.run(_graphs(files, protocol)) if protocol else {}
    for comparison in compare(files, threshold, graphs):
        terminal.put_json(comparison._asdict()) if as_json else terminal.put(_judged(comparison))
    return int(not files or any(each.lost for each in skipped))


async def _graphs(files: Sequence[tuple[str, str | UndecodableSource]], protocol: Protocol) -> dict[str, str | None]:
    """Return the hashes of the graphs of those that can be built, by name."""
    found: dict[str, str | None] = {}
    async with opened_evaluator(EvaluatorSettings.load()) as evaluator:
        with bars(transient=True) as advance:
            for done, (name, text) in enumerate(files, 1):
                if isinstance(text, str):
                    found[name] = (await traced(evaluator.sandbox, text, protocol)).measures.graph_sha256
                advance("building", done, len(files))
    return found


async def _ended(tasks: Sequence[asyncio.Task[Evaluation]]) -> None:
    """Cancel evaluations that are not done yet, so that their children end before the sandbox does."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _text(content: bytes) -> str | UndecodableSource:
    try:
        return sources.of_file(content)
    except UndecodableSource as error:
        return error


async def _evaluation(evaluator: Evaluator, text: str | UndecodableSource, protocol: Protocol) -> Evaluation:
    if isinstance(text, str):
        return await evaluator.evaluate(text, protocol)
    return evaluator.rejected(str(text), protocol, sha256_of(text.content), Outcome.SYNTAX_ERROR)


def _record(path: Path, evaluation: Evaluation) -> dict[str, Any]:
    values = evaluation.model_dump(mode="json")
    return {"file": str(path), "sha256": evaluation.code_sha256, **{name: values[name] for name in _FIELDS}}


def _evaluated(line: dict[str, Any]) -> str:
    accuracy = "     –" if line["accuracy"] is None else f"{line['accuracy']:6.3f}"
    return f"{line['outcome']:<15}{accuracy}  {line['seconds']:6.2f} s  {line['file']}  {line['detail']}"


def _judged(comparison: "Comparison") -> str:
    if comparison.verdict is None:
        return f"{'unreadable':<17}    –  {'':<15}  {comparison.file}  {comparison.problem}"
    nearest = f"  nearest {comparison.nearest}" if comparison.nearest else ""
    return f"{comparison.verdict:<17}{comparison.similarity:5.2f}  {comparison.family:<15}  {comparison.file}{nearest}"
