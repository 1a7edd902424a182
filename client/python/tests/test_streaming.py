"""Streams of calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import shipmate
from shipmate import ServiceError

schema: Any = shipmate.load("conformance.capnp")


class Sink(schema.Sink.Server):
    """Takes a chunk when it is allowed to, and fails at the one that is told."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.arrived = 0
        self.allowed = asyncio.Semaphore(0)
        self._fails_at = fails_at

    async def write(self, chunk: bytes, **_: Any) -> None:
        self.arrived += 1
        if self.arrived - 1 == self._fails_at:
            raise ServiceError("full")
        await self.allowed.acquire()


async def test_the_window_holds_the_sender_back(tmp_path: Any) -> None:
    sink = Sink()
    sent = 0

    async def pour(connection: shipmate.Connection) -> None:
        nonlocal sent
        service = connection.bootstrap(schema.Sink)
        async with shipmate.stream(service.write_request, window_bytes=10_000) as write:
            for _ in range(50):
                await write(chunk=bytes(1000))
                sent += 1

    async with shipmate.serve(f"unix:{tmp_path}/s", lambda: sink) as server:
        async with shipmate.connect(server.address) as connection:
            pouring = asyncio.ensure_future(pour(connection))
            for taken in range(50):
                while sink.arrived <= taken:
                    await asyncio.sleep(0.001)
                assert sent <= taken + 10
                assert not pouring.done()
                sink.allowed.release()
            await pouring
    assert sent == sink.arrived == 50


async def test_an_error_ends_the_stream(tmp_path: Any) -> None:
    sink = Sink(fails_at=3)
    for _ in range(100):
        sink.allowed.release()
    async with shipmate.serve(f"unix:{tmp_path}/s", lambda: sink) as server:
        async with shipmate.connect(server.address) as connection:
            service = connection.bootstrap(schema.Sink)
            with pytest.raises(ServiceError, match="full"):
                async with shipmate.stream(service.write_request, window_bytes=4000) as write:
                    for _ in range(100):
                        await write(chunk=bytes(1000))
    assert sink.arrived < 100


async def test_a_chunk_larger_than_the_window_goes_alone(tmp_path: Any) -> None:
    sink = Sink()
    sink.allowed = asyncio.Semaphore(10)
    async with shipmate.serve(f"unix:{tmp_path}/s", lambda: sink) as server:
        async with shipmate.connect(server.address) as connection:
            service = connection.bootstrap(schema.Sink)
            async with shipmate.stream(service.write_request, window_bytes=10) as write:
                for _ in range(3):
                    await write(chunk=bytes(1000))
    assert sink.arrived == 3
