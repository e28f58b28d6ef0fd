"""Submit a network over RabbitMQ, and print what is said of it until it is judged or has failed.

AMQP_URL=amqp://user:password@host/ python submit_and_listen.py net.py
"""

import asyncio
import hashlib
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from importlib.util import decode_source
from pathlib import Path

import aio_pika

ENDS = ("candidate.judged", "candidate.evaluated.failed")
SHOWN = ("outcome", "detail", "accuracy", "verdict", "similarity")


async def main(code: str) -> None:
    mine = str(uuid.uuid4())
    source = {"text": code, "sha256": hashlib.sha256(code.encode()).hexdigest()}
    data = {"run_id": "examples", "submission": mine, "protocol": "digits", "code": source}
    event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/examples", "subject": mine, "runid": "examples"}
    event |= {"type": "archloop.candidate.submitted.v1", "time": datetime.now(UTC).isoformat()}
    body = json.dumps(event | {"data": data}).encode()
    async with await aio_pika.connect(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("archloop.events")
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "candidate.#")
        message = aio_pika.Message(body, content_type="application/cloudevents+json", delivery_mode=2)
        await exchange.publish(message, "candidate.submitted")
        async for heard in queue.iterator(no_ack=True):
            said = json.loads(heard.body)["data"]
            if said.get("submission") == mine:
                facts = said | said.get("evaluation", {})
                print(heard.routing_key, *(f"{key}={facts[key]}" for key in SHOWN if facts.get(key) not in (None, "")))
                if heard.routing_key in ENDS:
                    return


asyncio.run(asyncio.wait_for(main(decode_source(Path(sys.argv[1]).read_bytes())), timeout=600))
