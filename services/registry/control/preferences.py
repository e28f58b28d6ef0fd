"""Which answers to one prompt are better than which: what preference tuning learns from. Pure functions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archloop.contracts.spec import GenerationSpec
from archloop.contracts.values import Outcome
from services.registry.control.scored import beyond_noise
from services.registry.records import Candidate

Group = tuple[str, ...]
"""Ids of candidates, of which the first is rejected that answered the very same prompt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An evaluated candidate, and the one that it is an edit of; `accuracy` is null where it failed."""

    candidate_id: str
    cycle: int
    index: int
    parent: str | None
    accuracy: float | None


class Preferred(NamedTuple):
    """A chosen answer, and what it may be preferred to: those that failed, and those that are worse."""

    chosen: str
    failed: Group
    worse: Group


def answer(candidate: Candidate) -> Answer | None:
    """Return the candidate as an answer; None of one that was given up, or stopped on a ladder."""
    evaluation = candidate.evaluation
    if candidate.lost is not None or evaluation is None or evaluation.outcome is Outcome.STOPPED:
        return None
    accuracy = evaluation.accuracy if evaluation.valid else None
    if evaluation.valid and accuracy is None:
        return None
    return Answer(candidate.candidate_id, candidate.cycle or 0, candidate.index or 0, candidate.parent, accuracy)


def preferred(chosen: Iterable[str], answers: Iterable[Answer], spec: GenerationSpec, images: int) -> list[Preferred]:
    """Return each chosen answer with those that may be rejected for it, in the order of `chosen`.

    What failed comes latest cycle first, what is worse beyond the noise worst first. Of several that are chosen among
    the answers to one prompt, each begins one place further, so that not all are set against the same.

    Args:
        chosen: Ids of candidates that are learnt from.
        answers: All answers of the run up to now.
        spec: How the run's prompts are shared.
        images: The number of images that accuracies are measured on.

    """
    known = {each.candidate_id: each for each in answers}
    alike = _by_prompt(known, spec)
    turns: Counter[object] = Counter()
    found = []
    for better in (known[each] for each in chosen if each in known):
        place = _prompt(better, spec)
        failed, worse = _failed(alike[place]), _worse(better, alike[place], images)
        found.append(Preferred(better.candidate_id, _from(failed, turns[place]), _from(worse, turns[place])))
        turns[place] += 1
    return found


def _by_prompt(known: Mapping[str, Answer], spec: GenerationSpec) -> Mapping[object, list[Answer]]:
    alike: defaultdict[object, list[Answer]] = defaultdict(list)
    for each in known.values():
        alike[_prompt(each, spec)].append(each)
    return alike


def _prompt(answer: Answer, spec: GenerationSpec) -> object:
    """Return what answers to one prompt have in common: fixed prompts are the same in every cycle."""
    cycle = answer.cycle if spec.prompts is None else None
    return cycle, spec.prompt(answer.index), answer.parent


def _failed(answers: Iterable[Answer]) -> list[Answer]:
    return sorted((each for each in answers if each.accuracy is None), key=lambda each: (-each.cycle, each.index))


def _worse(better: Answer, answers: Iterable[Answer], images: int) -> list[Answer]:
    reached = better.accuracy or 0.0
    below = ((each.accuracy, each) for each in answers if each.accuracy is not None)
    worse = [(accuracy, each) for accuracy, each in below if beyond_noise(reached, accuracy, images)]
    worse.sort(key=lambda found: (found[0], -found[1].cycle, found[1].index))
    return [each for _, each in worse]


def _from(answers: Sequence[Answer], turn: int) -> Group:
    start = turn % len(answers) if answers else 0
    return tuple(each.candidate_id for each in (*answers[start:], *answers[:start]))
