"""A corpus as pairs to tune on: as in the paper, a full example and an infill example for each network."""

import ast
import random
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from archloop import answers, protocols
from archloop.answers import briefs
from archloop.protocols import Protocol
from archloop.training_pairs import TrainingPair
from archloop_lab.lemur import brief_inference
from archloop_lab.lemur.corpus import Kept
from services.evaluator.harness.contract import check
from services.evaluator.harness.flaw import Flaw
from services.generator import prompts

Split = Literal["train", "dev", "test", "all"]
_SPLIT_SEED = 42
_CUTS: Mapping[str, tuple[float, float]] = {"train": (0, 0.8), "dev": (0.8, 0.9), "test": (0.9, 1), "all": (0, 1)}
_MASK = "..."


class Network(NamedTuple):
    """An image classifier that keeps the contract: about how large it is, and itself without `forward`'s body."""

    kept: Kept
    parameters: int
    masked: str | None


class Usable(NamedTuple):
    """The networks that pairs can be made of, and how many cannot for which reason."""

    networks: list[Network]
    left_out: dict[str, int]


def usable(kept: Sequence[Kept]) -> Usable:
    """Sort out what is no image classifier, or would not pass the evaluator's reading."""
    networks, left_out = list[Network](), Counter[str]()
    for each in kept:
        try:
            networks.append(_network(each))
        except Flaw as flaw:
            left_out[_reason(flaw)] += 1
    return Usable(networks, dict(left_out))


def written(
    networks: Sequence[Network], split: Split, *, seed: int, template: str, protocol: str
) -> Iterator[TrainingPair]:
    """Make the pairs of this part of an 80/10/10 split, ordered by the seed. Raises NotFound, InvalidInput."""
    described, chosen = protocols.load(protocol), _part(networks, split)
    random.Random(f"lemur {seed}").shuffle(chosen)  # noqa: S311
    for network in chosen:
        completion = answers.render(network.kept.code)
        rng = random.Random(f"lemur {seed} {network.kept.name}")  # noqa: S311
        asked = [_prompt(network, template, described, rng)]
        if network.masked is not None:
            asked.append(answers.render(network.masked))
        for prompt in asked:
            yield TrainingPair(prompt=prompt, completion=completion)


def _network(kept: Kept) -> Network:
    if not kept.classifies:
        raise Flaw("no classifier", "never trained to classify images")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(kept.code)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Flaw("syntax_error", "cannot be parsed") from error
    check(kept.code, tree)
    _check_methods(tree)
    return Network(kept, brief_inference.parameters(tree), _masked(kept.code, tree))


def _check_methods(tree: ast.Module) -> None:
    """Check that each is written out, for an example shows the whole contract. Raises Flaw."""
    written = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    missing = [name for name in ("__init__", "forward", "train_setup", "learn") if name not in written]
    if missing:
        raise Flaw("contract_error", f"class Net has no {missing[0]}")


def _reason(flaw: Flaw) -> str:
    """Leave out what differs from file to file."""
    return re.sub(r"(import of \w+).*| \(line \d+\)", r"\1", str(flaw))


def _part(networks: Sequence[Network], split: Split) -> list[Network]:
    """Take of each family its share, with clusters undivided: what is tested on has no near-copy in training."""
    clusters = defaultdict[str, set[str]](set)
    for network in networks:
        clusters[network.kept.family].add(network.kept.cluster)
    chosen: set[str] = set()
    for family, names in clusters.items():
        drawn = sorted(names)
        random.Random(f"{_SPLIT_SEED} {family}").shuffle(drawn)  # noqa: S311
        begin, end = (round(cut * len(drawn)) for cut in _CUTS[split])
        chosen.update(drawn[begin:end])
    return [network for network in networks if network.kept.cluster in chosen]


def _prompt(network: Network, template: str, protocol: Protocol, rng: random.Random) -> str:
    """Write what might have been asked, true of the network as far as its text tells."""
    drawn = prompts.draw_brief(rng, prompts.budgets(template))
    asked = brief_inference.true_of(network.kept.code, drawn)
    prompt = prompts.ask(template, protocol=protocol, family=network.kept.family, brief=asked)
    return briefs.truthful(prompt.text, network.parameters)


def _masked(code: str, tree: ast.Module) -> str | None:
    """Cut out the body of `Net.forward`; None where the class has none, or has it on one line."""
    nets = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Net")
    members = (member for net in nets for member in net.body)
    found = next((m for m in members if isinstance(m, ast.FunctionDef) and m.name == "forward"), None)
    if found is None or found.body[0].lineno == found.lineno:
        return None
    text = re.sub(r"\r\n?", "\n", code).split("\n")
    begin, end = found.body[0].lineno - 1, found.body[-1].end_lineno
    return "\n".join([*text[:begin], " " * found.body[0].col_offset + _MASK, *text[end:]])
