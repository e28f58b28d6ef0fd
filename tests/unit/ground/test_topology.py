"""Which queue takes which message, and what its queues are called."""

import pytest

from archloop.contracts.topology import ENDS, QUEUES, Log, Queue, adapter_queue, parked_name


@pytest.mark.parametrize(
    ("pattern", "wanted", "unwanted"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "axb", "b.a", "aa.b", ""]),
        ("a.*", ["a.b", "a.ok"], ["a", "a.b.c", "b.b", "xa.b"]),
        ("*.b", ["a.b", "c.b"], ["b", "a.b.b", "a.c"]),
        ("a.*.c", ["a.b.c"], ["a.c", "a.b.b.c", "a.b.d"]),
        ("#", ["a", "a.b", "a.b.c"], []),
        ("a.#", ["a", "a.b", "a.b.c"], ["b", "ab", "b.a"]),
        ("#.c", ["c", "a.c", "a.b.c"], ["cc", "c.a", "ac"]),
        ("a.#.c", ["a.c", "a.b.c", "a.b.b.c"], ["a", "c", "a.b", "ac"]),
        ("#.b.#", ["b", "a.b", "b.c", "a.a.b.c.c"], ["a", "ab", "a.c"]),
        ("*.#", ["a", "a.b", "a.b.c"], []),
        ("a+.b", ["a+.b"], ["aa.b"]),
    ],
)
def test_bindings_match_as_amqp_topics_do(pattern: str, wanted: list[str], unwanted: list[str]) -> None:
    for kept in (Queue("q", ("x.y", pattern), prefetch=1), Log("l", (pattern,))):
        assert [key for key in [*wanted, *unwanted] if kept.wants(key)] == wanted


@pytest.mark.parametrize(
    ("queue", "parked"),
    [("trainer", "trainer.parked"), ("adapters.one", "adapters.parked"), ("adapters.a.b", "adapters.parked")],
)
def test_messages_are_set_aside_in_one_queue_for_all_replicas(queue: str, parked: str) -> None:
    assert parked_name(queue) == Queue(queue, ("#",), prefetch=1).parked_name == parked


@pytest.mark.parametrize("replica", ["one", "generator-0", "a.b"])
def test_every_replica_hears_of_every_adapter_by_a_queue_of_its_own_that_does_not_stay(replica: str) -> None:
    queue = adapter_queue(replica)
    assert (queue.name, queue.expires, queue.prefetch) == (f"adapters.{replica}", True, 1)
    assert queue.wants("adapter.trained")
    assert not queue.wants("adapter.activated")
    assert queue.parked_name == "adapters.parked"


@pytest.mark.parametrize("queue", QUEUES, ids=lambda q: q.name)
def test_those_whose_order_counts_have_one_consumer_and_who_trains_has_the_time(queue: Queue) -> None:
    assert queue.single_active == (queue.name in {"novelty", "registry"})
    assert queue.consumer_timeout_s >= (6 * 3600 if queue.name == "trainer" else 1800)
    assert not queue.expires


def test_the_log_of_ends_has_the_ends_alone() -> None:
    assert ENDS.wants("run.finished")
    assert not ENDS.wants("run.requested")
    assert ENDS.max_bytes == 16 * 1024 * 1024
