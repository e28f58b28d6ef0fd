"""What this process has asked for, for one run. A restart forgets it, which only makes it ask again."""

from dataclasses import dataclass, field
from datetime import datetime

from archloop.contracts.base import Message
from services.registry.budget import Spent

Key = tuple[object, ...]


@dataclass
class _Ask:
    count: int
    published: bool = False


@dataclass
class Conversation:
    """The last sign of life of a run, and every request that was made.

    The registry hears its own messages, so one that does not come back within `echo_s` of silence was never
    published: it is said again and does not count. One that came back is asked again after `patience_s` of silence.
    From `deadline` on the run is looked at without being told to. `costs` are those of its closed cycles.
    """

    patience_s: float
    echo_s: float
    last: datetime
    deadline: datetime | None = None
    asks: dict[Key, _Ask] = field(default_factory=dict)
    costs: dict[int, Spent] = field(default_factory=dict)

    def heard(self, message: Message, now: datetime) -> None:
        """Any message of the run is a sign of life, be it our own coming back."""
        self.last = now
        if ask := self.asks.get(key_of(message)):
            ask.published = True

    def said(self, message: Message, now: datetime, *, counts: bool = True) -> None:
        """It is about to be published."""
        self.last = now
        before = self.asks.get(key_of(message), _Ask(0, published=True))
        self.asks[key_of(message)] = _Ask(before.count + (counts and before.published))

    def silence_s(self, now: datetime) -> float:
        """Seconds since anything was heard or said."""
        return (now - self.last).total_seconds()

    def quiet(self, now: datetime) -> bool:
        """Whether it is time to look at the run without being told to."""
        if self.deadline is not None and now >= self.deadline:
            return True
        unheard = any(not ask.published for ask in self.asks.values())
        return self.silence_s(now) >= (self.echo_s if unheard else self.patience_s)

    def due(self, key: Key, silence_s: float, patience_s: float, *, unasked: bool) -> bool:
        """Whether to ask after such a silence; `unasked` decides where there is none and this was never asked."""
        ask = self.asks.get(key)
        if ask is None:
            return unasked or silence_s >= patience_s
        return silence_s >= (patience_s if ask.published else self.echo_s)

    def spent(self, key: Key, silence_s: float, patience_s: float, limit: int) -> bool:
        """Whether this was asked `limit` times in vain."""
        ask = self.asks.get(key)
        return ask is not None and ask.published and ask.count >= limit and silence_s >= patience_s

    def count(self, key: Key) -> int:
        """How often this was asked."""
        return self.asks[key].count if key in self.asks else 0


def key_of(message: Message) -> Key:
    """What a message is about, within its run."""
    return (message.name, *message.identity())
