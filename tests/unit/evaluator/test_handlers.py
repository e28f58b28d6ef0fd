import pytest

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.messages import CandidateEvaluatedFailed, CandidateGenerated, CandidateSubmitted
from archloop.contracts.spec import NoveltySpec
from archloop.contracts.values import BlobRef, Evaluation, Outcome, SandboxLevel, SourceCode, sha256_of
from archloop.errors import IntegrityError, NotFound
from archloop.protocols import load
from services.evaluator.evaluator import Evaluator
from services.evaluator.handlers import EvaluatorHandler
from services.evaluator.secret import Secret
from tests.unit.evaluator.support import GOOD, HELDOUT, FakeSandbox, NoResults, quadrants

DIGITS = load("digits")


class Known:
    def __init__(self, evaluation: Evaluation) -> None:
        self.known = evaluation

    async def evaluation(self, code_sha256: str, protocol_sha256: str) -> Evaluation | None:
        asked = (self.known.code_sha256, self.known.protocol_sha256)
        return self.known if (code_sha256, protocol_sha256) == asked else None


def generated(code: SourceCode, **changed) -> CandidateGenerated:
    values = {"run_id": "r", "cycle": 2, "index": 3, "code": code, "prompt": "p", "protocol": "digits", **changed}
    return CandidateGenerated(**values)


@pytest.fixture
def sandbox():
    return FakeSandbox()


@pytest.fixture
async def handler(sandbox, tmp_path):
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    yield EvaluatorHandler(evaluator, NoResults(), DirectoryBlobs(tmp_path))
    await evaluator.close()


async def test_a_candidate_becomes_one_event_about_the_same_candidate(handler):
    message = generated(SourceCode.inline(GOOD), novelty=NoveltySpec(threshold=0.7))
    (event,) = await handler.handle(message)
    assert isinstance(event, CandidateEvaluatedFailed)
    assert event.candidate_id == message.candidate_id
    assert (event.code, event.novelty) == (message.code, message.novelty)
    assert event.evaluation.outcome is Outcome.CRASHED


async def test_a_submission_keeps_its_own_identity(handler):
    message = CandidateSubmitted(run_id="batch", submission="s-1", code=SourceCode.inline(GOOD), protocol="digits")
    (event,) = await handler.handle(message)
    assert event.candidate_id == message.candidate_id


@pytest.mark.parametrize("seed", [None, DIGITS.seed, DIGITS.seed + 5])
async def test_a_submission_is_trained_by_the_seed_that_it_names(handler, sandbox, seed):
    fields = {"run_id": "batch", "submission": "s-1", "code": SourceCode.inline(GOOD), "protocol": "digits"}
    (event,) = await handler.handle(CandidateSubmitted(**fields, seed=seed))
    own = seed in (None, DIGITS.seed)
    assert (event.evaluation.protocol_sha256 == DIGITS.sha256) is own
    assert event.evaluation.protocol == ("digits" if own else f"digits, seed {seed}")
    assert [job.task.seed for job in sandbox.jobs] == [DIGITS.seed if own else seed]


def known(**changed) -> Known:
    values = {
        "outcome": Outcome.OK, "stage": "predict", "protocol": "digits", "protocol_sha256": DIGITS.sha256,
        "code_sha256": sha256_of(GOOD), "accuracy": 0.5, "sandbox_level": SandboxLevel.NAMESPACES,
        "heldout_id": HELDOUT.id,
    }  # fmt: skip
    return Known(Evaluation(**(values | changed)))


async def test_what_is_known_is_not_evaluated_again(handler, sandbox):
    results = known()
    handler = EvaluatorHandler(handler.evaluator, results, handler.blobs)
    (event,) = await handler.handle(generated(SourceCode.inline(GOOD)))
    assert (event.name, event.evaluation) == ("candidate.evaluated.ok", results.known)
    assert sandbox.jobs == []
    await handler.handle(generated(SourceCode.inline(GOOD + "#")))
    assert len(sandbox.jobs) == 1


@pytest.mark.parametrize("other", [Secret.of("2" * 64).id, None], ids=["another secret", "before there was one"])
async def test_what_was_scored_on_other_held_out_images_is_scored_again(handler, sandbox, other):
    handler = EvaluatorHandler(handler.evaluator, known(heldout_id=other), handler.blobs)
    (event,) = await handler.handle(generated(SourceCode.inline(GOOD)))
    assert len(sandbox.jobs) == 1
    assert event.evaluation.heldout_id == HELDOUT.id


async def test_a_suspect_is_told_as_failed_with_its_accuracies(handler, sandbox):
    results = known(outcome=Outcome.SUSPECT, accuracy=0.9, test_accuracy=0.4)
    handler = EvaluatorHandler(handler.evaluator, results, handler.blobs)
    (event,) = await handler.handle(generated(SourceCode.inline(GOOD)))
    assert isinstance(event, CandidateEvaluatedFailed)
    assert (event.evaluation.accuracy, event.evaluation.test_accuracy) == (0.9, 0.4)


async def test_an_answer_without_code_fails_with_its_problem_and_no_sandbox(handler, sandbox):
    (event,) = await handler.handle(generated(SourceCode.inline(""), problem="no fenced code block in the answer"))
    assert (event.evaluation.outcome, event.evaluation.stage) == (Outcome.CONTRACT_ERROR, "parse")
    assert event.evaluation.detail == "no fenced code block in the answer"
    assert sandbox.jobs == []


async def test_code_that_was_cut_off_is_still_tried(handler, sandbox):
    await handler.handle(generated(SourceCode.inline(GOOD), problem="the code block is not closed"))
    assert len(sandbox.jobs) == 1


async def test_large_code_comes_from_the_object_store(handler, sandbox):
    ref = await handler.blobs.put("code/x", GOOD.encode())
    await handler.handle(generated(SourceCode(sha256=ref.sha256, blob=ref)))
    assert sandbox.jobs[0].source == GOOD.encode()


async def test_code_that_is_not_utf8_is_the_candidates_mistake_under_its_own_hash(handler):
    ref = await handler.blobs.put("code/y", b"x = '\xff'")
    (event,) = await handler.handle(generated(SourceCode(sha256=ref.sha256, blob=ref)))
    assert event.evaluation.outcome is Outcome.SYNTAX_ERROR
    assert event.evaluation.code_sha256 == ref.sha256


async def test_a_blob_that_is_not_the_code_is_an_error_and_no_outcome(handler):
    ref = await handler.blobs.put("code/z", GOOD.encode())
    with pytest.raises(IntegrityError):
        await handler.handle(generated(SourceCode(sha256="0" * 64, blob=ref)))
    gone = BlobRef(key="code/none", sha256="0" * 64, bytes=1)
    with pytest.raises(NotFound):
        await handler.handle(generated(SourceCode(sha256="0" * 64, blob=gone)))


async def test_an_unknown_protocol_is_named(handler):
    with pytest.raises(NotFound, match="no protocol named 'imagenet'"):
        await handler.handle(generated(SourceCode.inline(GOOD), protocol="imagenet"))
