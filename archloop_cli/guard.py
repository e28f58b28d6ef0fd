"""What ends an embedded run early: nobody mends a parked message, a damaged file or a full disk while it goes on."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from archloop.bus.port import Parked
from archloop.errors import ArchloopError
from archloop_cli.embedded import Loop

SPARE_BYTES = 32 * 2**20


class DiskFull(ArchloopError):
    """Stopped while there was still room to record what had been done."""

    code = "disk_full"


class StoppedByParked(ArchloopError):
    """A message was parked: some step of the run cannot be done until its cause is mended."""

    code = "parked"


class StoppedByRejection(ArchloopError):
    """A service cannot do some step of the run until the cause is mended."""

    code = "rejected"


@dataclass(frozen=True)
class Guard:
    """Watches one run's directory; messages in `known` were parked before it began."""

    directory: Path
    known: frozenset[str] = frozenset()

    async def check(self, loop: Loop) -> None:
        """Raise DiskFull, StoppedByParked or StoppedByRejection; whichever it is, the run can be resumed."""
        self.check_disk()
        for parked in await loop.bus.parked():
            if parked.id not in self.known:
                raise self._stopped_by(parked)
        for rejected in loop.rejected:
            step = rejected.name.partition(".")[0]
            error = StoppedByRejection(f"{step} is not possible: {rejected.data()['reason']}")
            error.add_note(f"once mended: archloop resume {self.directory}")
            raise error

    def check_disk(self, *, begun: bool = True) -> None:
        """Raise DiskFull while there is still room to write down what is in hand."""
        free = shutil.disk_usage(self.directory).free
        if free < SPARE_BYTES:
            kept = f"nothing recorded is lost: free some space, then `archloop resume {self.directory}`"
            raise DiskFull(
                f"{self.directory}: {free / 2**20:.0f} MiB are free, {SPARE_BYTES / 2**20:.0f} MiB are needed; "
                + (kept if begun else "nothing was begun: free some space first")
            )

    def _stopped_by(self, parked: Parked) -> StoppedByParked:
        error = StoppedByParked(f"the {parked.queue} service gave up on a message: {parked.reason}")
        error.add_note(f"look at it: archloop parked show {parked.id[:8]} --run {self.directory}")
        error.add_note(f"once mended: archloop resume {self.directory}")
        return error
