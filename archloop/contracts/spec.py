"""What a run is asked to be. The field names are those of the preset files."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from archloop.contracts.acts import ActSpec, FamilyChoice
from archloop.contracts.base import Strict, absent
from archloop.contracts.budget import BudgetSpec
from archloop.contracts.numbers import NUMBER, Candidates, Count, Few, Seed, Share, Temperature, Tokens, Whole
from archloop.contracts.texts import Name
from archloop.contracts.training import TrainingSpec
from archloop.contracts.values import AdapterRef, BlobRef

Mode = Literal["whole", "edit", "mixed"]
Parents = Literal["best", "novel", "families", "archive", "aging"]
Memory = Literal["none", "failures", "scores", "all"]
Start = Literal["llm", "seed-program"]
# A run is called by its preset, its seed and `-frozen`, which together have to be a RunId.
PresetName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,43}$")]


SEED_PROGRAM = "seed-program"
"""The base model of a run that no LLM writes: networks are drawn at random, and mutated."""


class GenerationSpec(Strict):
    """How the LLM is asked: prompt template and decoding.

    Each candidate has a prompt of its own, or one of so many fixed `prompts`, in every cycle and run the same. So many
    `answers` in a row, by the candidates' index, are to one prompt: to the same parent and memory too.
    `mode` is what is asked for: `whole` networks, each an `edit` of an earlier candidate, or a `mixed` cycle with edits
    in this `edit_share`. `parents` says which candidates of closed cycles are edited: the `best`, the most `novel`
    of the better half, the best of the `families` in rotation, those of the `archive` of cells, or by
    `aging` the winners of small tournaments among the youngest, as in regularised evolution. While there is none, a
    whole network is asked for. A `guided` edit is decoded under a grammar in which it can look only for lines that
    stand in the parent once; our own server and vLLM know how. `memory` is what the prompt says of the cycles before:
    which `failures` there were and why, which networks had which `scores`, or `all` of it, in at most `memory_tokens`.
    Prompts ask for `families` in rotation, and for all where none is named. `start` says who writes the first cycle:
    the `llm`, or the `seed-program`, which draws networks at random, so that edits have parents that train.
    """

    template: Name = "brief"
    prompts: Count | None = None
    answers: Annotated[Few, absent(1)] = 1
    temperature: Temperature = 0.9
    top_p: Annotated[float, Field(gt=0, lt=1), NUMBER] = 0.98
    top_k: Count | None = None
    max_new_tokens: Tokens = 512
    mode: Annotated[Mode, absent("whole")] = "whole"
    edit_share: Annotated[Share, absent(0.5)] = 0.5
    parents: Annotated[Parents, absent("best")] = "best"
    guided: Annotated[bool, absent(False)] = False
    memory: Annotated[Memory, absent("none")] = "none"
    memory_tokens: Annotated[Tokens, absent(256)] = 256
    families: Annotated[FamilyChoice, absent(())] = ()
    start: Annotated[Start, absent("llm")] = "llm"

    def slot(self, index: int) -> int:
        """Return which of the cycle's prompts a candidate answers, counted from 0."""
        return index // self.answers

    def prompt(self, index: int) -> int:
        """Return the same, with fixed prompts that of the prompt among them."""
        slot = self.slot(index)
        return slot if self.prompts is None else slot % self.prompts

    @property
    def remembered_tokens(self) -> int:
        """The most tokens of a prompt that its memory takes."""
        return 0 if self.memory == "none" else self.memory_tokens

    @property
    def edited(self) -> float:
        """The share of candidates that are to be edits, once there are parents."""
        return {"whole": 0.0, "edit": 1.0, "mixed": self.edit_share}[self.mode]


class NoveltySpec(Strict):
    """When two architectures are the same: verified Jaccard similarity at or above `threshold`."""

    threshold: Annotated[float, Field(ge=0, le=1), NUMBER] = 0.85
    scope: Literal["run", "global"] = "run"


class SelectionSpec(Strict):
    """Which candidates are admitted, and which of those become training pairs (paper section 3; facts: fallback rule).

    Considered are the novel ones; without `novel_only` near-copies too (an ablation). By `rule` there are admitted
    - `threshold`: accuracy >= `threshold`, as the paper;
    - `percentile`: accuracy >= that percentile of the cycle where it is higher, from ten candidates on;
    - `pareto`: those at or above `fallback_threshold` that none of the others beats in accuracy, parameters and FLOPs
      at once, then those that only these beat, and so on until there are `minimum`.
    If the first two find fewer than `minimum`, the next best down to `fallback_threshold` are admitted as well.

    Of the admitted, at most `quota` per structural family are trained on in a cycle, so that one family cannot take
    over; null is no limit. `replay` earlier ones are added, null is all: family by family in turn, the best of all, or
    the most recent first. With the `archive` of `cells` the quota and the turns are not each family's, but
    each cell's: of one family, size and cost, by the whole part of log2 of parameters and FLOPs. With `improving` no
    edit is trained on that is less accurate than its parent, nor, where all are to be edits, a whole network, unless
    it is pinned; where the cycle has nothing new to train on, nothing is trained.
    """

    rule: Literal["threshold", "percentile", "pareto"] = "threshold"
    threshold: Share = 0.40
    percentile: Annotated[int, Field(ge=1, le=99), NUMBER] = 65
    fallback_threshold: Share = 0.35
    minimum: Whole = 15
    novel_only: bool = True
    quota: Count | None = 8
    replay: Whole | None = 96
    replay_order: Literal["families", "best", "recent"] = "families"
    archive: Annotated[Literal["none", "cells"], absent("none")] = "none"
    improving: Annotated[bool, absent(False)] = False

    @model_validator(mode="after")
    def _fallback_is_below(self) -> Self:
        if self.fallback_threshold > self.threshold:
            raise ValueError("fallback_threshold must not exceed threshold")
        return self


class BootstrapSpec(Strict):
    """What the LLM is tuned on before it writes the first cycle: pairs as JSON lines in the object store.

    A preset that leaves out `pairs` says that they are to be given with the run. With `replay` every later tuning goes
    through them again, as the paper's does.
    """

    pairs: BlobRef | None = None
    count: Whole = 0
    replay: bool = False


class GateSpec(Strict):
    """Champion and challenger: a new adapter writes the next cycle only if it is no worse than the one that it follows.

    Both write `candidates` networks to the same prompts and seeds, which are the same for the whole run; the new one's
    valid rate must not be lower by more than `margin`. They enter no cycle, and no budget.
    """

    candidates: Few = 16
    margin: Share = 0.0


class ConfirmSpec(Strict):
    """The end of a run: its best `count` networks are trained anew, on as many new `seeds`."""

    count: Few = 5
    seeds: Annotated[int, Field(ge=3, le=1000), NUMBER] = 3


class CollapseSpec(Strict):
    """What a run does when its networks become alike: when fewer than the share `below` of a cycle's valid are novel.

    After each such cycle it goes one step further, at most so many `steps`, and after every other one it goes one back.
    For each step the next cycle is written at a higher `temperature` by so much, up to 2, and the training before it
    has so many more earlier candidates to `replay`; while there is a step, edits are of these `parents`. A cycle of
    which fewer than `judged` valid candidates were judged says nothing.
    """

    below: Annotated[float, Field(gt=0, le=1), NUMBER] = 0.5
    judged: Few = 8
    steps: Annotated[int, Field(ge=1, le=100), NUMBER] = 3
    temperature: Annotated[float, Field(gt=0, le=2), NUMBER] | None = None
    replay: Count | None = None
    parents: Parents | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.temperature is None and self.replay is None and self.parents is None:
            raise ValueError("collapse needs something to do: temperature, replay or parents")
        return self


class RunSpec(Strict):
    """A run: `cycles` times `candidates`, all of it derived from `seed`.

    The first cycle is written by the base model with `adapter`, if there is one, tuned on the `bootstrap` pairs, if
    there are any; a frozen run's cycles all are. With `confirm` the best are trained anew at its end, which is outside
    of its cycles and its budget. `steering` are acts that are known before it begins, such as those of a run that is
    done again: each is taken up when its cycle opens. With `collapse` it is watched for networks that become alike.
    """

    preset: PresetName = "custom"
    cycles: Few
    candidates: Candidates
    seed: Seed = 0
    protocol: Name
    base_model: Name = "tiny"
    adapter: AdapterRef | None = None
    bootstrap: BootstrapSpec | None = None
    frozen: bool = False
    generation: GenerationSpec = GenerationSpec()
    novelty: NoveltySpec = NoveltySpec()
    selection: SelectionSpec = SelectionSpec()
    training: TrainingSpec = TrainingSpec()
    gate: GateSpec | None = None
    budget: BudgetSpec = BudgetSpec()
    confirm: Annotated[ConfirmSpec | None, absent(None)] = None
    steering: Annotated[tuple[ActSpec, ...], Field(max_length=1000), absent(())] = ()
    collapse: Annotated[CollapseSpec | None, absent(None)] = None

    @model_validator(mode="after")
    def _only_edits_are_guided(self) -> Self:
        if self.generation.guided and self.generation.mode == "whole":
            raise ValueError("generation.guided is for edits; set generation.mode to edit or mixed")
        return self

    @model_validator(mode="after")
    def _collapse_can_be_answered(self) -> Self:
        asked = self.collapse
        if asked is not None and asked.parents is not None and self.generation.mode == "whole":
            raise ValueError("collapse.parents needs edits; set generation.mode to edit or mixed")
        if asked is not None and asked.replay is not None and self.selection.replay is None:
            raise ValueError("collapse.replay adds to nothing, as selection.replay is null: all is replayed already")
        return self

    @model_validator(mode="after")
    def _what_has_no_weights_is_frozen(self) -> Self:
        if self.base_model == SEED_PROGRAM and not (self.frozen and self.bootstrap is None and self.adapter is None):
            raise ValueError("the seed program learns nothing: `frozen: true`, without `bootstrap` and `adapter`")
        return self

    @model_validator(mode="after")
    def _begins_with_one_thing(self) -> Self:
        if self.adapter is not None and self.adapter.base_model != self.base_model:
            raise ValueError(f"the adapter was tuned on {self.adapter.base_model!r}, not on {self.base_model!r}")
        if self.adapter is not None and self.bootstrap is not None:
            raise ValueError("a run begins with an adapter or with bootstrap pairs, not with both")
        return self

    @model_validator(mode="after")
    def _preferences_are_between_answers_to_one_prompt(self) -> Self:
        prompts, answers = self.generation.prompts, self.generation.answers
        shared = min(answers, self.candidates) > 1 or (prompts is not None and prompts < self.cycles * self.candidates)
        if self.training.method != "sft" and not shared:
            raise ValueError(
                f"training.method {self.training.method} needs candidates that answer one prompt; "
                "set generation.answers and candidates to 2 or more, or fewer generation.prompts"
            )
        return self
