"""Who says and who hears what, as data: queues are declared, and reference pages written, from here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

EXCHANGE = "archloop.events"


@dataclass(frozen=True)
class Queue:
    """A durable queue on the topic exchange.

    `binds` are AMQP topic patterns over routing keys; `prefetch` bounds unacknowledged deliveries per
    consumer; `consumer_timeout_s` must exceed the longest handling; an `exclusive` queue has one consumer, and goes
    some minutes after it.
    """

    name: str
    binds: tuple[str, ...]
    prefetch: int
    single_active: bool = False
    exclusive: bool = False
    consumer_timeout_s: int = 1800

    @property
    def parked_name(self) -> str:
        """Where its messages are set aside."""
        return parked_name(self.name)

    def wants(self, routing_key: str) -> bool:
        """Whether a message with this key is routed here."""
        return any(_matches(pattern, routing_key) for pattern in self.binds)


@dataclass(frozen=True)
class Log:
    """What was said on these routing keys, kept for whoever comes later: each reads it from the beginning."""

    name: str
    binds: tuple[str, ...]
    max_bytes: int = 16 * 2**20

    def wants(self, routing_key: str) -> bool:
        """Whether a message with this key is kept here."""
        return any(_matches(pattern, routing_key) for pattern in self.binds)


def parked_name(queue: str) -> str:
    """Where messages of the queue are set aside; the queues of a service's replicas share one place."""
    return f"{queue.partition('.')[0]}.parked"


GENERATOR = Queue("generator", ("generation.requested",), prefetch=16)
EVALUATOR = Queue("evaluator", ("candidate.generated", "candidate.submitted"), prefetch=1)
NOVELTY = Queue(
    "novelty",
    ("candidate.evaluated.*", "candidate.lost"),
    prefetch=50,
    single_active=True,
)
TRAINER = Queue("trainer", ("training.requested",), prefetch=1, consumer_timeout_s=6 * 3600)
REGISTRY = Queue("registry", ("#",), prefetch=100, single_active=True)

QUEUES = (GENERATOR, EVALUATOR, NOVELTY, TRAINER, REGISTRY)

# By which a worker knows, also after a restart, that what waits for it is of a run that is over.
ENDS = Log("ends", ("run.finished",))

OTHERS = "other systems"
# By routing key. Where nobody answers, the registry says again what it has on record.
SENDERS: Mapping[str, tuple[str, ...]] = {
    "run.requested": ("registry", OTHERS),
    "run.finished": ("registry",),
    "cycle.closed": ("registry",),
    "generation.requested": ("registry",),
    "candidate.generated": ("generator", "registry"),
    "candidate.submitted": ("registry", OTHERS),
    "candidate.evaluated.ok": ("evaluator", "registry"),
    "candidate.evaluated.failed": ("evaluator", "registry"),
    "candidate.lost": ("registry",),
    "candidate.judged": ("novelty",),
    "generation.rejected": ("generator",),
    "evaluation.rejected": ("evaluator",),
    "judgement.rejected": ("novelty",),
    "training.requested": ("registry",),
    "adapter.trained": ("trainer",),
    "training.rejected": ("trainer",),
    "adapter.activated": ("generator",),
    "adapter.rejected": ("generator",),
}


def adapter_queue(replica: str) -> Queue:
    """Every generator replica hears of every adapter through a queue of its own."""
    return Queue(f"adapters.{replica}", ("adapter.trained",), prefetch=1, exclusive=True)


def _matches(pattern: str, routing_key: str) -> bool:
    """AMQP 0-9-1 topic matching: `*` is one word, `#` is any number of them."""
    words = [{"*": r"[^.]+", "#": r".*"}.get(word, re.escape(word)) for word in pattern.split(".")]
    return re.fullmatch(r"\.".join(words).replace(r".*\.", r"(?:.*\.)?"), routing_key) is not None
