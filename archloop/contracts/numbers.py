"""Numbers as people and other systems may give them: finite, within bounds that a machine has, and no booleans.

An upper bound is far beyond what is sensible. It keeps out what no library underneath takes, and slips of the hand.
"""

import sys
from typing import Annotated

from pydantic import BeforeValidator, Field


def _no_truth(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"a number, which {str(value).lower()} is not")  # noqa: TRY004 - what pydantic collects
    return value


NUMBER = BeforeValidator(_no_truth)
_FINITE = Field(allow_inf_nan=False)

Whole = Annotated[int, Field(ge=0, le=2**53), NUMBER]
Place = Annotated[int, Field(ge=0, le=2**31), NUMBER]
Seed = Annotated[int, Field(ge=0, lt=2**31), NUMBER]
Count = Annotated[int, Field(ge=1, le=2**31), NUMBER]
Few = Annotated[int, Field(ge=1, le=10_000), NUMBER]
Candidates = Annotated[int, Field(ge=1, le=100_000), NUMBER]
Temperature = Annotated[float, Field(gt=0, le=2), NUMBER]
Tokens = Annotated[int, Field(ge=1, le=10_000_000), NUMBER]
Bytes = Annotated[int, Field(ge=1, le=2**44), NUMBER]
Share = Annotated[float, Field(ge=0, le=1), _FINITE, NUMBER]
Positive = Annotated[float, Field(gt=0, le=1e15), _FINITE, NUMBER]
Seconds = Annotated[float, Field(gt=0, le=1e8), _FINITE, NUMBER]
Amount = Annotated[float, Field(ge=0, le=1e15), _FINITE, NUMBER]
Measure = Annotated[float, Field(ge=-sys.float_info.max, le=sys.float_info.max), _FINITE, NUMBER]
Curve = Annotated[tuple[Measure, ...], Field(max_length=100_000)]
