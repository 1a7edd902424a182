"""Measures calls of `Arith.multiply` and prints a line of JSON: python -m bench shipmate|stock ADDRESS CALLS

`stock` is pycapnp, used as its documentation shows. `cargo xtask clients-bench` runs it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import capnp

import shipmate

IN_FLIGHT = 32
"""So many calls are in flight at once where calls per second are counted."""

arith: Any = shipmate.load("arith.capnp")


@asynccontextmanager
async def connect(which: str, address: str) -> AsyncIterator[Any]:
    if which == "shipmate":
        async with shipmate.connect(address) as connection:
            yield connection.bootstrap(arith.Arith)
    else:
        async with capnp.kj_loop():
            stream = await capnp.AsyncIoStream.create_unix_connection(path=address.removeprefix("unix:"))
            yield capnp.TwoPartyClient(stream).bootstrap().cast_as(arith.Arith)


async def main(which: str, address: str, calls: int) -> None:
    async with connect(which, address) as service:

        async def call() -> None:
            response = await service.multiply(a=6, b=7)
            assert response.product.value == 42

        for _ in range(calls // 10):
            await call()
        times = []
        for _ in range(calls):
            before = time.perf_counter()
            await call()
            times.append(time.perf_counter() - before)
        batches = calls // IN_FLIGHT
        before = time.perf_counter()
        for _ in range(batches):
            responses = await asyncio.gather(*(service.multiply(a=6, b=7) for _ in range(IN_FLIGHT)))
            assert all(response.product.value == 42 for response in responses)
        took = time.perf_counter() - before
        p50_us = sorted(times)[calls // 2] * 1e6
        print(json.dumps({"which": which, "p50_us": p50_us, "calls_per_s": batches * IN_FLIGHT / took}))


if __name__ == "__main__":
    _, which, address, calls = sys.argv
    asyncio.run(main(which, address, int(calls)))
