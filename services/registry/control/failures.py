"""Failed looks at runs: how often they failed, and when the next one is due."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

_FIRST_S, _LONGEST_S = 1.0, 60.0


@dataclass
class Failures:
    """Counts failed looks in a row. Each is followed by twice as long a wait; after `most` of them the run ends."""

    most: int
    _counts: dict[str, int] = field(default_factory=dict)
    _next: dict[str, datetime] = field(default_factory=dict)

    def add(self, run_id: str, error: Exception, now: datetime) -> str | None:
        """Count a failed look; return why the run has to end, if it has to."""
        count = self._counts[run_id] = self._counts.get(run_id, 0) + 1
        wait_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(count - 1, 30))
        self._next[run_id] = now + timedelta(seconds=wait_s)
        return f"cannot go on: {count} looks failed: {_told(error)}" if count >= self.most else None

    def due(self, run_id: str, now: datetime) -> bool:
        """Return whether it is time for another look."""
        return run_id not in self._next or now >= self._next[run_id]

    def over(self, run_id: str) -> None:
        """Forget the run's failures: a look succeeded, or the run is over."""
        self._counts.pop(run_id, None)
        self._next.pop(run_id, None)


def _told(error: Exception) -> str:
    """Describe the error by its type and its first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")
