"""A server that is killed and started again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any

from shipmate import Address, Backoff, Connector, Disconnected

from .check import Wrong, equal, schema
from .failures import until_hanging


async def restart(address: Address) -> None:
    async with Connector(address, Backoff(attempts=20)) as connector:
        server = (await connector.connection()).bootstrap(schema.Conformance)
        in_flight = asyncio.ensure_future(server.hang())
        await until_hanging(server, (1, 0))

        print("restart now", flush=True)
        if not await asyncio.to_thread(sys.stdin.readline):
            raise Wrong("a line on standard input was expected, and it ended")

        await _is_disconnected("the call in flight", in_flight)
        await _is_disconnected("the next call", _read_new_counter(server))

        server = (await connector.connection()).bootstrap(schema.Conformance)
        equal("a call of a new connection", await _read_new_counter(server), 5)


async def _is_disconnected(what: str, call: Awaitable[object]) -> None:
    try:
        await call
    except Disconnected:
        return
    raise Wrong(f"{what}: Disconnected was expected, and it succeeded")


async def _read_new_counter(server: Any) -> int:
    value: int = (await server.newCounter(start=5).counter.read()).value
    return value
