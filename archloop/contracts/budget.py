"""What a run may spend. The field names are those of the preset files."""

from typing import Annotated

from pydantic import Field

from archloop.contracts.base import Strict
from archloop.contracts.numbers import NUMBER, Positive, Seconds

Amount = Annotated[int, Field(ge=1, le=2**53), NUMBER]


class BudgetSpec(Strict):
    """What a run may spend; null is without limit. It ends at the first limit reached.

    `tokens` are read and written ones, `cost` is by the generator's prices, `evaluator_seconds` are those in which
    candidates ran, `wall_seconds` count from the request, but for those in which the run was paused. What is under way
    then is still settled and counted.
    """

    candidates: Amount | None = None
    tokens: Amount | None = None
    cost: Positive | None = None
    evaluator_seconds: Positive | None = None
    wall_seconds: Seconds | None = None

    def limits(self) -> dict[str, float]:
        """Return the limits that are set, by name."""
        return self.model_dump(exclude_none=True)
