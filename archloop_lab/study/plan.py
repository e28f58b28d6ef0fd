"""What a study file says: a preset, seeds, and variants that change some of its settings."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import ConfigDict, Field, model_validator

from archloop import catalogue, presets
from archloop.contracts.base import Frozen
from archloop.contracts.numbers import Seed
from archloop.contracts.spec import RunSpec
from archloop.validation import checked, parsed

_SHIPPED = Path(__file__).parent / "shipped"
Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:-?[a-z0-9])*$", max_length=32)]


class Cell(NamedTuple):
    """One run of a study."""

    variant: str
    seed: int
    spec: RunSpec

    @property
    def name(self) -> str:
        """Of its directory."""
        return f"{self.variant}-s{self.seed}"


class Study(Frozen):
    """Every variant is run with every seed; each is compared with the first, `control` is the one that learns nothing.

    A variant is a mapping of the settings that it changes in the preset; `settings` are changed in all of them.
    Networks that led at the end of a cycle are trained anew on `confirmed_by` other seeds, if that is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    question: str
    preset: str
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    settings: dict[str, Any] = Field(default_factory=dict)
    variants: Annotated[dict[Name, dict[str, Any]], Field(min_length=2)]
    control: str | None = None
    confirmed_by: Annotated[int, Field(ge=1, le=100)] | None = None

    @model_validator(mode="after")
    def _names_hold(self) -> Self:
        if self.control is not None and self.control not in self.variants:
            raise ValueError(f"control {self.control!r} is none of the variants {', '.join(self.variants)}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must differ")
        return self

    @property
    def reference(self) -> str:
        """The variant that the others are compared with."""
        return next(iter(self.variants))

    def cells(self) -> Iterator[Cell]:
        """List all runs seed by seed, so that what is done is always comparable. Raises InvalidInput, NotFound."""
        for seed in self.seeds:
            for variant in self.variants:
                yield Cell(variant, seed, self._spec(variant, seed))

    def _spec(self, variant: str, seed: int) -> RunSpec:
        base = presets.load(self.preset).model_dump()
        content = merged(merged(base, self.settings), self.variants[variant])
        named = {"seed": seed, "preset": f"{self.name}-{variant}"}
        return presets.resolved(content | named, source=f"variant {variant}")


def load(name: str) -> Study:
    """Load a shipped study by name, or any file by path. Raises NotFound, InvalidInput that names the field."""
    path, text = catalogue.read("study", name, _SHIPPED)
    study = checked(Study, parsed(text, path.name), path.name)
    list(study.cells())
    return study


def names() -> list[str]:
    """List the studies that ship with the project."""
    return catalogue.names(_SHIPPED)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the changes into a copy of the base, mapping by mapping."""
    result = dict(base)
    for key, change in changes.items():
        inner = result.get(key)
        if isinstance(inner, Mapping) and isinstance(change, Mapping):
            result[key] = merged(inner, change)
        else:
            result[key] = change
    return result
