"""Ask for a small run over RabbitMQ, and print each cycle as it closes, until the run is over.

AMQP_URL=amqp://user:password@host/ python request_run.py
"""

import asyncio
import json
import os
import uuid
from datetime import UTC, datetime

import aio_pika


async def main() -> None:
    run = f"example-{uuid.uuid4()}"
    data = {"run_id": run, "spec": {"cycles": 2, "candidates": 4, "protocol": "digits"}}
    event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/examples", "subject": run, "runid": run}
    event |= {"type": "archloop.run.requested.v1", "time": datetime.now(UTC).isoformat()}
    body = json.dumps(event | {"data": data}).encode()
    async with await aio_pika.connect(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("archloop.events")
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "cycle.closed")
        await queue.bind(exchange, "run.finished")
        message = aio_pika.Message(body, content_type="application/cloudevents+json", delivery_mode=2)
        await exchange.publish(message, "run.requested")
        async for heard in queue.iterator(no_ack=True):
            said = json.loads(heard.body)["data"]
            if said["run_id"] == run:
                told = [f"{name}={value}" for name, value in said.items() if name not in ("run_id", "run_uid")]
                print(heard.routing_key, *told)
                if heard.routing_key == "run.finished":
                    return


asyncio.run(asyncio.wait_for(main(), timeout=3600))
