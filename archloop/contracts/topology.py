"""Which service publishes and which receives what, as data: queues and reference pages are made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EXCHANGE = "archloop.events"


@dataclass(frozen=True)
class Queue:
    """A durable queue on the topic exchange.

    `binds` are AMQP topic patterns over routing keys; `prefetch` bounds unacknowledged deliveries per
    consumer; `consumer_timeout_s` must exceed the longest handling; a queue that `expires` is deleted
    some minutes after its last consumer has left.
    """

    name: str
    binds: tuple[str, ...]
    prefetch: int
    single_active: bool = False
    expires: bool = False
    consumer_timeout_s: int = 1800

    @property
    def parked_name(self) -> str:
        """The name of the queue in which its messages are set aside."""
        return parked_name(self.name)

    def wants(self, routing_key: str) -> bool:
        """Return whether a message with this key is routed here."""
        return _wanted(self.binds, routing_key)


@dataclass(frozen=True)
class Log:
    """What was published under these routing keys, kept for later readers: each reads it from the beginning."""

    name: str
    binds: tuple[str, ...]
    max_bytes: int = 16 * 2**20

    def wants(self, routing_key: str) -> bool:
        """Return whether a message with this key is kept here."""
        return _wanted(self.binds, routing_key)


def parked_name(queue: str) -> str:
    """Return the name of the queue's parked queue; the queues of a service's replicas share one."""
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
    "run.steered": ("registry", OTHERS),
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
    """Return a generator replica's own queue, by which every replica hears of every adapter."""
    return Queue(f"adapters.{replica}", ("adapter.trained",), prefetch=1, expires=True)


def _wanted(binds: Sequence[str], routing_key: str) -> bool:
    return any(_matches(pattern.split("."), routing_key.split(".")) for pattern in binds)


def _matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Match by AMQP 0-9-1 topics: `*` is one word, `#` is any number of them, none too."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_matches(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _matches(pattern[1:], words[1:])
