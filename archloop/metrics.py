"""Prometheus metrics of what every service does: deliveries, how long they took, and what came of them."""

from prometheus_client import Counter, Gauge, Histogram

DELIVERIES = Counter(
    "archloop_deliveries_total",
    "Deliveries by how they ended: handled, dropped, retried, parked, released.",
    ["queue", "end"],
)
HANDLING = Histogram(
    "archloop_handling_seconds",
    "Seconds from delivery to its end.",
    ["queue"],
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)
IN_HAND = Gauge("archloop_deliveries_in_hand", "Deliveries that are being handled.", ["queue"])
PUBLISHED = Counter("archloop_published_total", "Messages published, by type.", ["type"])
OUTCOMES = Counter("archloop_evaluations_total", "Evaluations that this process made, by outcome.", ["outcome"])
LEVEL = Gauge("archloop_sandbox_level", "1 for the level at which this process confines candidates.", ["level"])
WAITING = Gauge("archloop_queue_messages", "Messages that wait in a queue.", ["queue"])
PARKED = Gauge("archloop_parked_messages", "Messages set aside until a person looks at them.", ["queue"])
MISSING = Gauge("archloop_queues_missing", "Queues, of a work queue and its parked queue, that are gone.", ["queue"])
