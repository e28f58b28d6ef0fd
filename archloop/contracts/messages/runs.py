"""Messages about a run: that it is to begin, how it is steered, how its cycles and it end."""

from typing import Annotated

from archloop.contracts.acts import Act
from archloop.contracts.base import Message, absent
from archloop.contracts.numbers import Place
from archloop.contracts.spec import RunSpec
from archloop.contracts.texts import Name, Remark
from archloop.contracts.values import Collapse


class RunRequested(Message):
    """Command: start this run, or do nothing if it is there already with the same spec."""

    name = "run.requested"
    identified_by = ()
    spec: RunSpec


class RunSteered(Message):
    """Somebody steers the run. The sender names the act: an act of the same name again changes nothing.

    `pause`, `resume` and `cancel` are heeded at once, everything else when the next cycle opens.
    """

    name = "run.steered"
    identified_by = ("act_id",)
    act_id: Name
    act: Act


class RunFinished(Message):
    """The run reached its end; nothing more will be asked for it."""

    name = "run.finished"
    identified_by = ()
    reason: Remark


class CycleClosed(Message):
    """Every candidate of the cycle is settled and the admitted ones are chosen.

    `collapse` says how the cycle ended of a run that is watched for that, and what it does about it from now on.
    """

    name = "cycle.closed"
    identified_by = ("cycle",)
    cycle: Place
    generated: Place
    valid: Place
    novel: Place
    admitted: Place
    collapse: Annotated[Collapse | None, absent(None)] = None
