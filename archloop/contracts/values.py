"""Values that messages carry: references into the object store, source code, adapters, measurements."""

import hashlib
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from archloop import sources
from archloop.contracts.base import Frozen, Sha256, absent
from archloop.contracts.numbers import Amount, Count, Curve, Share, Whole
from archloop.contracts.texts import LongText, Name, Quotable, Remark


class BlobRef(Frozen):
    """A reference to a blob: where its bytes are, and what they must hash to."""

    key: Name
    sha256: Sha256
    bytes: Whole


class SourceCode(Frozen):
    """Source of one candidate: inline up to 64 KiB of UTF-8, else a blob. Never executed by whoever carries it."""

    sha256: Sha256
    text: LongText | None = None
    blob: BlobRef | None = None

    @model_validator(mode="after")
    def _exactly_one_form(self) -> Self:
        if (self.text is None) == (self.blob is None):
            raise ValueError("source code is either `text` or `blob`, exactly one of them")
        if self.text is not None and sha256_of(self.text) != self.sha256:
            raise ValueError("`sha256` is not the hash of `text`")
        return self

    @classmethod
    def inline(cls, text: str) -> Self:
        """Wrap a text that is known to be small enough."""
        return cls(sha256=sha256_of(text), text=text)


class AdapterRef(Frozen):
    """One immutable version of LoRA weights: files under `prefix`, described by the manifest written last."""

    adapter: Annotated[str, Field(pattern=r"^[a-z0-9](?:-?[a-z0-9])*$", max_length=63)]
    manifest: BlobRef
    base_model: Name


class Outcome(StrEnum):
    """What a candidate did. Infrastructure failure is not among them: that is an exception."""

    OK = "ok"
    SYNTAX_ERROR = "syntax_error"
    CONTRACT_ERROR = "contract_error"
    BUILD_ERROR = "build_error"
    SHAPE_ERROR = "shape_error"
    TRAIN_ERROR = "train_error"
    DIVERGED = "diverged"
    BELOW_CHANCE = "below_chance"
    STOPPED = "stopped"
    SUSPECT = "suspect"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    FORBIDDEN = "forbidden"


class Verdict(StrEnum):
    """What the novelty service says of a valid candidate."""

    NOVEL = "novel"
    NEAR_DUPLICATE = "near_duplicate"
    EXACT_DUPLICATE = "exact_duplicate"


class Family(StrEnum):
    """Structural family of a network, in the rotation in which prompts ask for them."""

    PLAIN = "plain"
    RESIDUAL = "residual"
    DENSE = "dense"
    INCEPTION = "inception"
    DEPTHWISE = "depthwise"
    SQUEEZE_EXCITE = "squeeze_excite"
    ATTENTION = "attention"
    GATED = "gated"


class SandboxLevel(StrEnum):
    """How strongly the child was confined, weakest first."""

    PROCESS = "process"
    NAMESPACES = "namespaces"
    CONTAINER = "container"


class Rung(Frozen):
    """What a network came to after a part of its training, under a protocol with a ladder.

    `accuracy` is on the validation split after this `share` of the training images, null where it did not come so far.
    It had to reach `bar` to be trained on all of them; with null it had to reach nothing. It says nothing beside an
    accuracy after the whole.
    """

    share: Share
    accuracy: Share | None = None
    bar: Share | None = None

    @property
    def passed(self) -> bool:
        """Whether the network goes on from here."""
        return self.accuracy is not None and (self.bar is None or self.accuracy >= self.bar)


class Evaluation(Frozen):
    """The measured outcome of one code under one protocol.

    `accuracy` is on the validation split and drives selection; `test_accuracy` is only reported.
    Both are computed by the parent from raw predictions, in [0, 1], and null unless the candidate
    trained. Seconds are the parent's own clock: in all, for each stage, and for a step of training. `parameters`,
    `flops` (of one image's forward pass, a multiply-add is two), `activation_bytes` (kept of it for the backward
    pass) and `loss_curve` are the child's word and advisory; `uncounted` says why there are no `flops`. So is
    `graph_sha256`, equal for networks that compute the same, however they are written; `untraced` says why there is
    none. `precision` and `memory_format` are those that it was trained with, where the protocol's did not suit the
    network. `batch` is what it was trained with: the protocol's, or half of it after it had run out of memory, in which
    case seconds are those of both attempts. `device_name` and `driver` say on what it ran. `heldout_id` names the
    secret by which held-out images were drawn and shown: accuracies under another one differ by sampling noise.
    With a `rung` it was trained on a part of the images first; where it was `stopped` there, it has no accuracy but
    the rung's. Seconds are those of both.
    """

    outcome: Outcome
    stage: Name
    detail: Remark = ""
    protocol: Name
    protocol_sha256: Sha256
    code_sha256: Sha256
    accuracy: Share | None = None
    test_accuracy: Share | None = None
    parameters: Whole | None = None
    flops: Whole | None = None
    activation_bytes: Whole | None = None
    uncounted: Remark = ""
    graph_sha256: Sha256 | None = None
    untraced: Remark = ""
    precision: Name | None = None
    memory_format: Name | None = None
    seconds: Amount = 0.0
    cpu_seconds: Amount = 0.0
    peak_memory_bytes: Whole | None = None
    stage_seconds: Annotated[dict[Name, Amount], Field(max_length=100)] = Field(default_factory=dict)
    seconds_per_step: Amount | None = None
    batch: Whole | None = None
    loss_curve: Curve = ()
    sandbox_level: SandboxLevel
    device: Name = "cpu"
    device_name: Name = ""
    driver: Name = ""
    heldout_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None
    rung: Annotated[Rung | None, absent(None)] = None

    @property
    def valid(self) -> bool:
        """Whether it trained and is above chance: the numerator of the valid rate."""
        return self.outcome is Outcome.OK


class Remembered(Frozen):
    """What became of earlier candidates of the run, to be said in a prompt: of equal failures one, with their `count`.

    With an `accuracy` it is a network that scored so, in words that `archloop.networks` takes from a closed list;
    without, what went wrong, where, and one line of the error, made harmless.
    """

    outcome: Outcome
    stage: Quotable = ""
    text: Quotable
    accuracy: Share | None = None
    count: Count = 1


class Collapse(Frozen):
    """How a watched cycle ended: the share of its judged candidates that is novel, null of a few, and the step after.

    At step 0 nothing is done otherwise.
    """

    novelty: Share | None = None
    step: Whole = 0


class Parent(Frozen):
    """An earlier candidate of the run that is to be edited: its id, its code, and the accuracy that it reached."""

    candidate: Name
    code: SourceCode
    accuracy: Share


class Usage(Frozen):
    """What one answer of the model server cost; `cost` is in the currency of the generator's price settings."""

    prompt_tokens: Whole = 0
    completion_tokens: Whole = 0
    seconds: Amount = 0.0
    cost: Amount = 0.0

    @property
    def tokens(self) -> int:
        """How many tokens were read and written."""
        return self.prompt_tokens + self.completion_tokens


def sha256_of(content: str | bytes) -> str:
    """Return the hex SHA-256; text is hashed as the bytes that it is stored in."""
    raw = sources.encoded(content) if isinstance(content, str) else content
    return hashlib.sha256(raw).hexdigest()
