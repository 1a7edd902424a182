"""Messages that go one way, both ends of it.

python -m samples.records receive unix:/tmp/r        (or: shipmate recv unix:/tmp/r)
python -m samples.records send unix:/tmp/r           (or: shipmate send unix:/tmp/r)
"""

from __future__ import annotations

import asyncio
import sys

import shipmate

Record = shipmate.load("record.capnp").Record


async def send(address: str) -> None:
    async with await shipmate.send_to(address, Record) as sender:
        await sender.send(name="depth", value=42, tags=["harbour"], position={"latitude": 53.5, "longitude": 9.9})
        await sender.send(name="wind", value=7, body={"text": "north-west"})


async def receive(address: str) -> None:
    async with shipmate.receive_at(address, Record) as listener:
        print(f"listening at {listener.address}", file=sys.stderr, flush=True)
        async with await listener.accept() as receiver:
            async for record in receiver:
                print(record.name, record.value, *record.tags, flush=True)


if __name__ == "__main__":
    asyncio.run({"send": send, "receive": receive}[sys.argv[1]](sys.argv[2]))
