import json
import signal

import numpy as np
import pytest

from archloop.contracts.values import Outcome
from services.evaluator.harness import frames
from services.evaluator.reading import STAGES, Measures, one_line, read, stage_seconds
from services.evaluator.sandbox.port import Arrival
from tests.unit.evaluator.support import LIMITS, result, stages

ANSWERS = np.array([0, 3, 1, 2], "<i4").tobytes()


def outcome_frame(outcome="ok", **changed) -> bytes:
    content = {"outcome": outcome, "detail": "", "parameters": 7, "losses": [2.0, 1.0], **changed}
    return frames.pack(frames.OUTCOME, json.dumps(content).encode())


def graph(sha256: object = "0" * 64, untraced: object = "", **more: object) -> bytes:
    return frames.pack(frames.GRAPH, json.dumps({"graph_sha256": sha256, "untraced": untraced, **more}).encode())


def reading(stream: bytes, **kwargs):
    return read(result(stream, **kwargs), LIMITS, count=4, classes=4)


def predictions(payload: bytes = ANSWERS) -> bytes:
    return frames.pack(frames.PREDICTIONS, payload)


def test_an_honest_stream_gives_predictions_and_what_the_child_says_of_itself():
    told = reading(stages() + predictions() + outcome_frame())
    assert told.outcome is Outcome.OK
    assert told.predictions.tolist() == [0, 3, 1, 2]
    assert (told.measures.parameters, told.measures.loss_curve, told.stage) == (7, (2.0, 1.0), "predict")


@pytest.mark.parametrize("sha256", ["0" * 64, "0123456789abcdef" * 4, None])
def test_the_hash_of_a_graph_is_taken_as_told_and_why_there_is_none_in_one_line(sha256):
    told = reading(stages() + predictions() + outcome_frame() + graph(sha256, "so\n\x1b[31mit was")).measures
    assert (told.graph_sha256, told.untraced) == (sha256, "so [31mit was")
    assert reading(stages() + predictions() + outcome_frame()).measures.graph_sha256 is None


def test_stages_are_timed_by_when_their_announcements_came():
    first, second = len(stages(up_to="parse")), len(stages(up_to="contract"))
    arrivals = (Arrival(first, 0.5), Arrival(second, 0.75), Arrival(second + 40, 2.0))
    told = stage_seconds(result(stages(up_to="contract") + outcome_frame("contract_error"), arrivals=arrivals))
    assert told == {"start": 0.5, "parse": 0.25, "contract": 1.25}


def test_a_child_that_announces_nothing_or_nonsense_has_no_times():
    assert stage_seconds(result(b"")) == {}
    assert stage_seconds(result(b"S\xff\xff\xff\xffx", arrivals=(Arrival(6, 0.1),))) == {}
    again = stages(up_to="parse") * 2 + frames.pack(frames.STAGE, b"payday")
    assert list(stage_seconds(result(again, arrivals=(Arrival(len(again), 0.1),)))) == ["start", "parse"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_flaw_is_reported_with_the_stage_that_found_it(stage):
    told = reading(stages(up_to=stage) + outcome_frame("build_error", detail="TypeError: no"))
    assert (told.outcome, told.stage, told.detail) == (Outcome.BUILD_ERROR, stage, "TypeError: no")
    assert told.predictions is None


KNOWN_TO_A_CHILD = {
    *("syntax_error", "contract_error", "build_error", "shape_error"),
    *("train_error", "diverged", "out_of_memory", "forbidden", "crashed"),
}


@pytest.mark.parametrize("outcome", sorted(KNOWN_TO_A_CHILD))
def test_what_a_child_can_know_of_itself_is_told_in_its_words(outcome):
    told = reading(stages(up_to="train") + outcome_frame(outcome, detail="so it was"))
    assert (told.outcome, told.detail) == (outcome, "so it was")
    assert told.measures.parameters == 7


@pytest.mark.parametrize("outcome", [*sorted(set(Outcome) - KNOWN_TO_A_CHILD - {"ok"}), "excellent"])
@pytest.mark.parametrize("stage", ["parse", "train", "predict"])
def test_what_only_the_parent_can_know_is_no_childs_to_claim(outcome, stage):
    told = reading(stages(up_to=stage) + outcome_frame(outcome, detail="more than 20 s of CPU time"))
    assert (told.outcome, told.stage) == (Outcome.CRASHED, stage)
    assert outcome in told.detail
    assert "20 s" not in told.detail
    assert told.measures == Measures()


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"garbage",
        stages(),
        stages() + predictions(),
        stages() + outcome_frame(),
        outcome_frame() + stages(),
        predictions() + outcome_frame(),
        stages(up_to="build") + predictions() + outcome_frame(),
        stages() + predictions() + predictions() + outcome_frame(),
        stages() + predictions() + outcome_frame() + outcome_frame(),
        stages() + predictions() + outcome_frame() + b"x",
        stages() + stages() + predictions() + outcome_frame(),
        stages() + outcome_frame() + predictions(),
        stages() + predictions() + outcome_frame()[:-1],
        stages() + predictions(ANSWERS[:-4]) + outcome_frame(),
        stages() + predictions(ANSWERS + b"\0\0\0\0") + outcome_frame(),
        stages() + predictions(np.array([0, 1, 2, 4], "<i4").tobytes()) + outcome_frame(),
        stages() + predictions(np.array([0, 1, 2, -1], "<i4").tobytes()) + outcome_frame(),
        stages() + predictions() + outcome_frame("excellent"),
        stages() + predictions() + outcome_frame(accuracy=1.0),
        stages() + predictions() + outcome_frame(parameters=-1),
        stages() + predictions() + outcome_frame(parameters=True),
        stages() + predictions() + outcome_frame() + graph("f" * 63),
        stages() + predictions() + outcome_frame() + graph("F" * 64),
        stages() + predictions() + outcome_frame() + graph("f" * 64 + "\n"),
        stages() + predictions() + outcome_frame() + graph("x" * 64),
        stages() + predictions() + outcome_frame() + graph(int("1" * 64)),
        stages() + predictions() + outcome_frame() + graph(["f" * 64]),
        stages() + predictions() + outcome_frame() + graph(untraced="x" * 201),
        stages() + predictions() + outcome_frame() + graph(untraced=None),
        stages() + predictions() + outcome_frame() + graph(accuracy=1.0),
        stages() + predictions() + outcome_frame() + graph() + graph(),
        stages() + predictions() + outcome_frame() + graph()[:-1],
        stages() + predictions() + outcome_frame() + graph() + outcome_frame(),
        stages() + predictions() + outcome_frame() + stages(up_to="parse"),
        stages() + predictions() + outcome_frame() + predictions(),
        stages() + predictions() + graph() + outcome_frame(),
        stages() + predictions() + graph(),
        stages() + predictions() + outcome_frame(graph_sha256="f" * 64),
        stages() + predictions() + outcome_frame(losses=[0.0] * 1000),
        stages() + predictions() + outcome_frame(detail="x" * 100_000),
        stages() + predictions() + frames.pack(frames.OUTCOME, b"[" * 10_000),
        stages() + predictions() + frames.pack(frames.OUTCOME, b'{"outcome": "ok", "losses": [NaN]}'),
        frames.HEADER.pack(frames.STAGE, 2**32 - 1) + b"parse",
    ],
)  # fmt: skip
def test_anything_else_on_the_pipe_is_a_crash(stream):
    told = reading(stream)
    assert told.outcome is Outcome.CRASHED
    assert told.predictions is None


ENDS = {
    "wall": ({"killed_by": "wall", "signal": 9}, Outcome.TIMEOUT, "more than"),
    "cpu": ({"killed_by": "cpu", "signal": 9}, Outcome.TIMEOUT, "more than"),
    "memory": ({"killed_by": "memory", "signal": 9}, Outcome.OUT_OF_MEMORY, "more than"),
    "output": ({"killed_by": "output", "signal": 9}, Outcome.FORBIDDEN, "more than"),
    "threads": ({"killed_by": "processes", "signal": 9}, Outcome.FORBIDDEN, "more than"),
    "a crash": ({"signal": signal.SIGSEGV}, Outcome.CRASHED, "killed by SIGSEGV"),
    "a status": ({"exit": 3}, Outcome.CRASHED, "ended with status 3"),
}


@pytest.mark.parametrize(("end", "outcome", "detail"), ENDS.values(), ids=ENDS)
def test_what_ends_a_child_outweighs_all_but_its_outcome(end, outcome, detail):
    told = reading(stages() + predictions(), **{"exit": None} | end)
    assert (told.outcome, told.predictions) == (outcome, None)
    assert told.detail.startswith(detail)


@pytest.mark.parametrize("cut", [0, 3, 40])
@pytest.mark.parametrize(("end", "outcome", "detail"), ENDS.values(), ids=ENDS)
def test_what_ends_a_child_after_its_outcome_costs_it_the_graph_alone(end, outcome, detail, cut):
    told = reading(stages() + predictions() + outcome_frame() + graph()[:cut], **{"exit": None} | end)
    assert (told.outcome, told.predictions.tolist()) == (Outcome.OK, [0, 3, 1, 2])
    assert told.measures.graph_sha256 is None
    assert told.measures.untraced.startswith(detail)


@pytest.mark.parametrize("stream", [stages(up_to="train"), stages() + predictions() + outcome_frame()])
def test_the_filters_signal_is_a_refusal_at_any_time(stream):
    assert reading(stream, exit=None, signal=signal.SIGSYS).outcome is Outcome.FORBIDDEN


def test_the_last_stage_ends_with_the_outcome():
    told = stages(up_to="parse") + outcome_frame("syntax_error")
    arrivals = (Arrival(len(stages(up_to="parse")), 0.5), Arrival(len(told), 0.75), Arrival(len(told + graph()), 2.0))
    assert stage_seconds(result(told + graph(), arrivals=arrivals)) == {"start": 0.5, "parse": 0.25}


def test_a_detail_is_one_short_line_without_directories():
    detail = one_line("OSError:\n\x1b[31m /home/someone/.venv/lib/torch/x.py is\tgone " + "y" * 500)
    assert detail.startswith("OSError: [31m …/x.py is gone y")
    assert len(detail) <= 200
