"""A MongoDB wire server in a process of its own: `python mongoeco_server.py USER PASSWORD`, prints its port.

Run by an interpreter that has mongoeco, which is another than the tests' own: import nothing of ours here.
"""

import asyncio
import sys

from mongoeco.wire import AsyncMongoEcoProxyServer, WireAuthUser


async def serve(user: str, password: str) -> None:
    everything = {"role": "root", "db": "admin"}
    users = (WireAuthUser(user, password, roles=(everything,)),)
    async with AsyncMongoEcoProxyServer(auth_users=users) as server:
        print(server.address.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
