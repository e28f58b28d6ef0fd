"""The Bus on RabbitMQ 3.10 to 4.x, over aio-pika."""

from archloop.bus.amqp.bus import AmqpBus
from archloop.bus.amqp.link import BrokerRefused

__all__ = ["AmqpBus", "BrokerRefused"]
