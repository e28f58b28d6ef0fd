"""Prompts whose parameter budget the network that answered them did not keep."""

import re

_BUDGET = re.compile(r"^(?!- failed |- accuracy ).*?\b(?:Parameters: at|At) most (?P<budget>\d[\d,]*)", re.MULTILINE)


def truthful(prompt: str, parameters: int | None) -> str:
    """Return the prompt with a budget of parameters that the network keeps, where it broke the one that was asked for.

    A pair whose prompt is not true of its completion would teach the LLM to ignore budgets (the paper's own code says
    "at most 0" in all of them). Unchanged where nothing was measured or promised.
    """
    found = _BUDGET.search(prompt)
    if parameters is None or found is None or parameters <= int(found["budget"].replace(",", "")):
        return prompt
    return prompt[: found.start("budget")] + f"{_next_round(parameters):,}" + prompt[found.end("budget") :]


def _next_round(number: int) -> int:
    """Return the next of 1, 3, 10, 30 and so on."""
    power: int = 10 ** (len(str(number)) - 1)
    return next(limit for limit in (power, 3 * power, 10 * power) if limit >= number)
