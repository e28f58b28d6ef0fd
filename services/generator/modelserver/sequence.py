"""One request on its way through an engine: its tokens so far, and when it ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from services.generator.modelserver.drafting import Drafter
from services.generator.modelserver.sampling import Choice, Sampler


class Finish(StrEnum):
    """Finish reasons of TGI."""

    LENGTH = "length"
    EOS = "eos_token"
    STOP = "stop_sequence"


@dataclass(eq=False)
class Sequence:
    """Request in an engine, changed by the engine's thread only; others may only set `cancelled`.

    `on_token` is called with every token while it streams; `on_end` once, with an error or None. `stopped` is called
    with every token and returns whether a stop sequence is complete.
    """

    prompt: list[int]
    sampler: Sampler
    max_new_tokens: int
    eos: frozenset[int]
    stopped: Callable[[int], bool] | None
    on_token: Callable[[Choice], None] | None
    on_end: Callable[[Exception | None], None]
    tokens: list[Choice] = field(default_factory=list)
    finish: Finish | None = None
    cancelled: bool = False
    _drafter: Drafter | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more is to be generated."""
        return self.cancelled or self.finish is not None

    def accept(self, choice: Choice) -> None:
        """Append a token, and note whether it ends the sequence."""
        self.tokens.append(choice)
        if self._drafter is not None:
            self._drafter.push(choice.token)
        self.finish = self._reason(choice)
        if self.on_token:
            self.on_token(choice)

    def draft(self, most: int) -> list[int]:
        """Guess up to `most` of the tokens that come next, no more than there is room for."""
        most = min(most, self.max_new_tokens - len(self.tokens) - 1)
        if most < 1:
            return []
        if self._drafter is None:
            self._drafter = Drafter([*self.prompt, *(choice.token for choice in self.tokens)])
        return self._drafter.guess(most)

    def _reason(self, last: Choice) -> Finish | None:
        if last.token in self.eos:
            return Finish.EOS
        if self.stopped and self.stopped(last.token):
            return Finish.STOP
        return Finish.LENGTH if len(self.tokens) >= self.max_new_tokens else None
