"""A candidate scored once more, under another protocol: a submission beside its run, which changes nothing of it."""

from collections.abc import Sequence
from typing import NamedTuple

from archloop import protocols
from archloop.contracts.base import candidate_id
from services.registry.page.library import Entry
from services.registry.records import Candidate

_LONGEST = 63


class Again(NamedTuple):
    """What the code of a candidate came to under a protocol."""

    protocol: str
    candidate: Candidate


def batch(run_id: str) -> str:
    """Return the name under which the candidates of a run are submitted again."""
    return f"again-{run_id}"[:_LONGEST]


def submission(candidate: str, protocol: str) -> str:
    """Return the name of a candidate's submission."""
    return f"{candidate} {protocol}"


async def scores(entry: Entry, candidate: str) -> Sequence[Again]:
    """Return what was asked for so far, whether it is scored by now or not."""
    names = {p: candidate_id(batch(entry.run.run_id), 0, 0, submission(candidate, p)) for p in protocols.names()}
    found = [(protocol, await entry.shelf.store.candidate(name)) for protocol, name in names.items()]
    return [Again(protocol, each) for protocol, each in found if each is not None]
