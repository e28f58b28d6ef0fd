"""What each kind of message changes in the SQLite tables. Every statement lets the first write win."""

import sqlite3
from datetime import datetime
from functools import singledispatch

from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.messages import (
    BOOTSTRAP,
    AdapterTrained,
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateJudged,
    CandidateLost,
    CandidateSubmitted,
    RunFinished,
    RunRequested,
    RunSteered,
)
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import SourceCode
from archloop.errors import NotFound
from services.registry.records import Judgement, Loss, Step
from services.registry.stores.recording import event_text, no_cycle, recorded_act, require_same

_SETTLE = """
UPDATE candidates SET settled = 1 WHERE candidate_id = ?1 AND settled = 0 AND (
    EXISTS (SELECT 1 FROM lost WHERE candidate_id = ?1)
    OR generated IS NOT NULL AND EXISTS (
        SELECT 1 FROM evaluations LEFT JOIN verdicts USING (candidate_id)
        WHERE candidate_id = ?1 AND (outcome <> 'ok' OR verdict IS NOT NULL)))
"""
_STEP = """
SELECT CASE WHEN settled THEN NULL WHEN generated IS NULL THEN 'generation'
    WHEN outcome IS NULL THEN 'evaluation' ELSE 'judgement' END FROM candidate_rows WHERE candidate_id = ?
"""
_ANSWERED = {
    "generation": "SELECT 1 FROM candidates WHERE candidate_id = ? AND generated IS NOT NULL",
    "evaluation": "SELECT 1 FROM evaluations WHERE candidate_id = ?",
    "judgement": "SELECT 1 FROM verdicts WHERE candidate_id = ?",
}


def log_event(db: sqlite3.Connection, message: Message, at: datetime) -> None:
    """Append the message to the event log, code by hash only. Raises InvalidInput for numbers that JSON has not."""
    db.execute(
        "INSERT INTO events (id, type, run_id, time, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (message.id, message.type, message.run_id, at.timestamp(), event_text(message)),
    )


@singledispatch
def apply(message: Message, db: sqlite3.Connection, at: datetime) -> None:
    """Update the rows that the message is about; for most kinds the event log is all that there is to keep."""


@apply.register
def _(message: RunRequested, db: sqlite3.Connection, at: datetime) -> None:
    db.execute(
        "INSERT INTO runs (run_id, spec, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (message.run_id, message.spec.model_dump_json(), at.timestamp()),
    )
    (spec,) = db.execute("SELECT spec FROM runs WHERE run_id = ?", (message.run_id,)).fetchone()
    require_same(message.run_id, RunSpec.model_validate_json(spec), message.spec)


@apply.register
def _(message: RunSteered, db: sqlite3.Connection, at: datetime) -> None:
    _require_run(db, message.run_id)
    db.execute(
        "INSERT INTO acts (run_id, act_id, act) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (message.run_id, message.act_id, recorded_act(message, at).model_dump_json()),
    )


@apply.register
def _(message: RunFinished, db: sqlite3.Connection, at: datetime) -> None:
    db.execute(
        "UPDATE runs SET finished = ?, reason = ? WHERE run_id = ? AND finished IS NULL",
        (at.timestamp(), message.reason, message.run_id),
    )


@apply.register
def _(message: CandidateGenerated, db: sqlite3.Connection, at: datetime) -> None:
    if not _open(db, message):
        return
    # An evaluation may have come first, and its code stands: the prompt does not depend on what was answered to it.
    _keep_code(db, message, message.code)
    db.execute(
        "UPDATE candidates SET prompt = ?, adapter = ?, parent = ?, problem = ?, submitter = ?, usage = ?,"
        " generated = ?"
        " WHERE candidate_id = ? AND generated IS NULL",
        (
            *(message.prompt, message.adapter, message.parent, message.problem, message.submitter),
            *(message.usage.model_dump_json(), at.timestamp(), message.candidate_id),
        ),
    )
    _settle(db, message)


@apply.register
def _(message: CandidateSubmitted, db: sqlite3.Connection, at: datetime) -> None:
    if not _open(db, message):
        return
    _keep_code(db, message, message.code)
    db.execute(
        "UPDATE candidates SET generated = ? WHERE candidate_id = ? AND generated IS NULL",
        (at.timestamp(), message.candidate_id),
    )
    _settle(db, message)


@apply.register(CandidateEvaluatedOk)
@apply.register(CandidateEvaluatedFailed)
def _(message: CandidateEvaluatedOk | CandidateEvaluatedFailed, db: sqlite3.Connection, at: datetime) -> None:
    if not _open(db, message):
        return
    _keep_code(db, message, message.code)
    evaluation = message.evaluation
    # An evaluation of other code than the recorded one says nothing of this candidate.
    db.execute(
        "INSERT INTO evaluations SELECT candidate_id, ?, ?, code_sha256, ?, ?, ? FROM candidates"
        " WHERE candidate_id = ? AND code_sha256 = ? ON CONFLICT DO NOTHING",
        (
            *(evaluation.outcome, evaluation.accuracy, evaluation.protocol_sha256, evaluation.model_dump_json()),
            *(at.timestamp(), message.candidate_id, message.code.sha256),
        ),
    )
    _settle(db, message)


@apply.register
def _(message: CandidateJudged, db: sqlite3.Connection, at: datetime) -> None:
    if not _open(db, message):
        return
    judgement = Judgement.model_validate(message, from_attributes=True)
    # A verdict on other code than the recorded one says nothing of this candidate.
    db.execute(
        "INSERT INTO verdicts SELECT candidate_id, ?, ?, ?, ?, ? FROM candidates"
        " WHERE candidate_id = ? AND (? IS NULL OR code_sha256 IS NULL OR code_sha256 = ?) ON CONFLICT DO NOTHING",
        (
            *(message.verdict, message.family, message.similarity, judgement.model_dump_json(), at.timestamp()),
            *(message.candidate_id, message.code_sha256, message.code_sha256),
        ),
    )
    _settle(db, message)


@apply.register
def _(message: CandidateLost, db: sqlite3.Connection, at: datetime) -> None:
    if not _open(db, message) or db.execute(_ANSWERED[message.step], (message.candidate_id,)).fetchone():
        return
    db.execute(
        "INSERT INTO lost VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (message.candidate_id, Loss.model_validate(message, from_attributes=True).model_dump_json(), at.timestamp()),
    )
    _settle(db, message)


@apply.register
def _(message: AdapterTrained, db: sqlite3.Connection, at: datetime) -> None:
    if message.cycle == BOOTSTRAP:
        _require_run(db, message.run_id)
    else:
        _require_cycle(db, message.run_id, message.cycle)
    db.execute(
        "INSERT INTO adapters VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (message.run_id, message.cycle, at.timestamp(), message.model_dump_json()),
    )


def step_of(db: sqlite3.Connection, message: Message) -> Step | None:
    """Return what the message's candidate awaits now."""
    found = isinstance(message, CandidateMessage) and db.execute(_STEP, (message.candidate_id,)).fetchone()
    return found[0] if found else None


def _open(db: sqlite3.Connection, message: CandidateMessage) -> bool:
    """Make the candidate's row exist; return False if the candidate was given up and hears nothing more."""
    if message.submission is None:
        _require_cycle(db, message.run_id, message.cycle)
    place = (message.cycle, message.index) if message.submission is None else (None, None)
    db.execute(
        "INSERT INTO candidates (candidate_id, run_id, cycle, idx, submission) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (message.candidate_id, message.run_id, *place, message.submission),
    )
    return not db.execute("SELECT 1 FROM lost WHERE candidate_id = ?", (message.candidate_id,)).fetchone()


def _require_cycle(db: sqlite3.Connection, run_id: str, cycle: int) -> None:
    if not db.execute("SELECT 1 FROM cycles WHERE run_id = ? AND cycle = ?", (run_id, cycle)).fetchone():
        raise no_cycle(run_id, cycle)


def _require_run(db: sqlite3.Connection, run_id: str) -> None:
    if not db.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone():
        raise NotFound("run", run_id)


def _keep_code(db: sqlite3.Connection, message: CandidateMessage, code: SourceCode) -> None:
    db.execute(
        "UPDATE candidates SET code_sha256 = ?, code = ? WHERE candidate_id = ? AND code IS NULL",
        (code.sha256, code.model_dump_json(), message.candidate_id),
    )


def _settle(db: sqlite3.Connection, message: CandidateMessage) -> None:
    if db.execute(_SETTLE, (message.candidate_id,)).rowcount and message.submission is None:
        db.execute(
            "UPDATE cycles SET settled = settled + 1 WHERE run_id = ? AND cycle = ?", (message.run_id, message.cycle)
        )
