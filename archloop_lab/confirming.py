"""`archloop confirm`: train a run's best anew on other seeds, and keep what comes out beside the run."""

from collections.abc import Sequence
from pathlib import Path

from archloop import protocols
from archloop.contracts.spec import ConfirmSpec
from archloop.contracts.values import sha256_of
from archloop.protocols.model import Protocol
from archloop_lab import files, rescoring
from archloop_lab.confirmation import Confirmation, Confirmed, confirmation
from archloop_lab.rescoring import Advance, Network, Scores
from archloop_lab.run_directory import RunDirectory
from services.evaluator.settings import EvaluatorSettings


async def confirm(run: Path, asked: ConfirmSpec, advance: Advance, settings: EvaluatorSettings | None = None) -> None:
    """Train the best so many of the run, and the best of its first cycle, on other seeds. Done again it goes on.

    What was confirmed before, of fewer networks or seeds, is replaced. Raises NotFound for a run without valid
    candidates, Unavailable.
    """
    directory = RunDirectory(run)
    base = protocols.load(directory.manifest().spec.protocol).model_copy(update={"ladder": None})
    found = _distinct(await rescoring.networks(run, admitted=False))
    start = min(found, key=lambda network: (network.cycle, -network.accuracy))
    best = found[: asked.count]
    seeded = [base.reseeded(seed) for seed in base.other_seeds(asked.seeds)]
    chosen = [*best, *([start] if start not in best else [])]
    scores = await rescoring.score(chosen, seeded, run / "confirm.jsonl", advance, settings)
    confirmed = {network.name: _confirmed(network, seeded, scores) for network in chosen}
    result = confirmation([p.seed for p in seeded], [confirmed[n.name] for n in best], confirmed[start.name])
    files.write_json(directory.confirmation_file, result.model_dump(mode="json"))
    files.write_csv(run / "confirm.csv", _rows(result))


def _distinct(networks: Sequence[Network]) -> list[Network]:
    """Leave out what has the same code as one before it, which is as good and older."""
    found: dict[str, Network] = {}
    for network in networks:
        found.setdefault(sha256_of(network.code), network)
    return list(found.values())


def _confirmed(network: Network, under: Sequence[Protocol], scores: Scores) -> Confirmed:
    accuracies = [scores[network.name, protocol.name].accuracy for protocol in under]
    return Confirmed(
        candidate=network.name, place=network.place, chosen_by=network.accuracy, accuracies=tuple(accuracies)
    )


def _rows(found: Confirmation) -> list[dict[str, object]]:
    return [
        {"candidate": network.candidate, "place": network.place, "run_accuracy": network.chosen_by}
        | {"seed": seed, "accuracy": accuracy}
        for network in dict.fromkeys([*found.networks, found.first])
        for seed, accuracy in zip(found.seeds, network.accuracies, strict=True)
    ]
