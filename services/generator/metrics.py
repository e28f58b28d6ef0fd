"""Prometheus metrics of what the model server was asked for, and of the adapter that it serves."""

from prometheus_client import Counter, Gauge

from archloop.contracts.values import Usage

TOKENS = Counter("archloop_generator_tokens_total", "Tokens read (prompt) and written (completion).", ["kind"])
COST = Counter("archloop_generator_cost_total", "Cost of the answers, in the currency of the prices that are set.")
ADAPTER = Gauge("archloop_generator_adapter_info", "1 for the adapter that was brought up last.", ["adapter"])


def count(usage: Usage, *, cost: float) -> None:
    """Count an answer."""
    TOKENS.labels("prompt").inc(usage.prompt_tokens)
    TOKENS.labels("completion").inc(usage.completion_tokens)
    COST.inc(cost)


def serves(adapter: str) -> None:
    """Note the adapter that was brought up; the one before is no longer the last."""
    ADAPTER.clear()
    ADAPTER.labels(adapter).set(1)
