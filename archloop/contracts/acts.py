"""What people do to a run while it goes on: each act says who did what."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from archloop.contracts.base import Frozen, Strict, absent
from archloop.contracts.budget import BudgetSpec
from archloop.contracts.numbers import Candidates, Place, Share, Temperature
from archloop.contracts.texts import Name, Remark
from archloop.contracts.values import Family, SourceCode

Verb = Literal["pause", "resume", "cancel", "change", "pin", "ban", "release", "submit", "revert"]
AT_ONCE: frozenset[Verb] = frozenset({"pause", "resume", "cancel"})
ON_CANDIDATES: frozenset[Verb] = frozenset({"pin", "ban", "release"})
_OBJECTS: Mapping[str, str] = {
    "change": "changes",
    "submit": "code",
    "revert": "adapter",
    **dict.fromkeys(ON_CANDIDATES, "candidate"),
}


def _each_once(families: tuple[Family, ...]) -> tuple[Family, ...]:
    if len(set(families)) < len(families):
        raise ValueError("each family once")
    return families


FamilyChoice = Annotated[tuple[Family, ...], Field(max_length=len(Family)), AfterValidator(_each_once)]


class GenerationChanges(Strict):
    """What may change of how the LLM is asked; null stays as it is."""

    template: Annotated[Name | None, absent(None)] = None
    temperature: Annotated[Temperature | None, absent(None)] = None
    families: Annotated[FamilyChoice | None, absent(None)] = None


class NoveltyChanges(Strict):
    """What may change of when two networks are the same; null stays as it is."""

    threshold: Annotated[Share | None, absent(None)] = None


class SelectionChanges(Strict):
    """What may change of which candidates are admitted; null stays as it is."""

    threshold: Annotated[Share | None, absent(None)] = None
    fallback_threshold: Annotated[Share | None, absent(None)] = None


class Changes(Strict):
    """What is to be otherwise from the next cycle on, in the words of a run's spec; null stays as it is.

    A `budget` replaces the whole of the one before.
    """

    candidates: Annotated[Candidates | None, absent(None)] = None
    generation: Annotated[GenerationChanges | None, absent(None)] = None
    novelty: Annotated[NoveltyChanges | None, absent(None)] = None
    selection: Annotated[SelectionChanges | None, absent(None)] = None
    budget: Annotated[BudgetSpec | None, absent(None)] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(value is not None and (name == "budget" or _says(value)) for name, value in self):
            raise ValueError("at least one change")
        return self


def _says(value: object) -> bool:
    return not isinstance(value, Strict) or any(part is not None for _, part in value)


class Act(Frozen):
    """One act, by `who` did it.

    `pause`: ask for nothing new until `resume`. `cancel`: end the run now. `change`: from the next cycle on go by the
    `changes`. `pin` and `ban`: always, or never, use the `candidate` as an exemplar; `release`: neither any more.
    `submit`: let the `code` be a candidate of the next cycle. `revert`: have the next cycle written by the `adapter`,
    one that wrote an earlier cycle, or by the base model, named likewise; the training after it continues that one.
    """

    verb: Verb
    who: Name = ""
    comment: Annotated[Remark, absent("")] = ""
    changes: Annotated[Changes | None, absent(None)] = None
    candidate: Annotated[Name | None, absent(None)] = None
    code: Annotated[SourceCode | None, absent(None)] = None
    adapter: Annotated[Name | None, absent(None)] = None

    @model_validator(mode="after")
    def _has_its_object(self) -> Self:
        needed = _OBJECTS.get(self.verb)
        for name in dict.fromkeys(_OBJECTS.values()):
            if (getattr(self, name) is not None) != (name == needed):
                raise ValueError(f"{self.verb} {'needs' if name == needed else 'has no'} {name}")
        return self


class ActSpec(Strict):
    """An act that is known before its cycle opens, when it is taken up."""

    cycle: Place
    act: Act

    @model_validator(mode="after")
    def _has_code_by_reference(self) -> Self:
        if self.act.code is not None and self.act.code.blob is None:
            raise ValueError("code of an act is a reference to a blob: whoever sees the spec may not read it")
        return self
