"""A callback: records posted to a mailbox come to an object of ours.

shipmated --listen unix:/tmp/ship.sock=mailbox &
python -m samples.callback unix:/tmp/ship.sock
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import shipmate

mailbox: Any = shipmate.load("mailbox.capnp")

COUNT = 3


class Printer(mailbox.Subscriber.Server):
    """The server calls it for each record. Returning says that the record has been dealt with."""

    def __init__(self) -> None:
        self.seen = 0
        self.all_seen = asyncio.Event()

    async def receive(self, record: Any, **_: Any) -> None:
        print(f"{record.name} = {record.value}")
        self.seen += 1
        if self.seen == COUNT:
            self.all_seen.set()


async def main(address: str) -> None:
    async with shipmate.connect(address) as connection:
        opened = await connection.bootstrap(mailbox.Mailbox).open("soundings", 10)
        if not opened.opened:
            sys.exit(f"the mailbox was refused: {opened.refusal}")
        printer = Printer()
        subscription = (await opened.box.subscribe(subscriber=printer)).subscription
        for fathoms in range(COUNT):
            await opened.box.post(record={"name": "depth", "value": fathoms})
        await printer.all_seen.wait()
        # Dropping it would end the subscription.
        del subscription


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
