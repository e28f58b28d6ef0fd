"""A request that may still be answered: how long to wait for the answer before it is made again."""

from dataclasses import dataclass
from datetime import datetime

_LONGEST = 4  # times the patience: the wait for an answer doubles with every request, up to this


@dataclass
class PendingRequest:
    """One request: how often it was made, and how often it was published without coming back to us.

    A rejection is an answer; after one the request is made again sooner, as the cause may be mended meanwhile.
    """

    patience_s: float
    echo_s: float
    count: int = 0
    echoes_missed: int = 0
    published: bool = True
    rejected: bool = False
    said: datetime | None = None

    @property
    def wait_s(self) -> float:
        """The seconds of silence after which it is made again."""
        answer_s = self.patience_s * min(_LONGEST, 2.0 ** max(0, self.count - 1))
        if self.published and not self.rejected:
            return answer_s
        doubled = self.count - 1 if self.rejected else self.echoes_missed
        return min(answer_s, self.echo_s * 2.0 ** max(0, min(doubled, 30)))
