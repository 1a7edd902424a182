"""Streams (`-> stream`), whose sender is held back by what the receiver has handled."""

from __future__ import annotations

import asyncio
from typing import Any

import shipmate

from .check import Wrong, equal, same, schema

CHUNKS = 200
CHUNK_BYTES = 10_000
PEAK_BYTES_MAX = 1 << 20


async def up(server: Any) -> None:
    sink = (await server.openSink()).sink
    async with shipmate.stream(sink.write_request) as write:
        for number in range(CHUNKS):
            await write(chunk=_chunk(number))
    done = await sink.done()
    equal("the chunks", done.chunks, CHUNKS)
    equal("the bytes", done.bytes, CHUNKS * CHUNK_BYTES)
    equal("their sum", done.sum, sum(sum(_chunk(number)) for number in range(CHUNKS)))


async def down(server: Any) -> None:
    sink = SlowSink()
    peak = (await server.pour(sink=sink, chunks=CHUNKS, bytes=CHUNK_BYTES)).peak
    equal("the number of chunks", len(sink.chunks), CHUNKS)
    for number, chunk in enumerate(sink.chunks):
        same(f"chunk {number}", chunk, _chunk(number))
    if not 1 <= peak <= PEAK_BYTES_MAX:
        raise Wrong(f"the bytes under way: expected at most {PEAK_BYTES_MAX} and saw {peak}")


def _chunk(number: int) -> bytes:
    return bytes((number + index) % 256 for index in range(CHUNK_BYTES))


class SlowSink(schema.Sink.Server):
    """Takes its time over each chunk."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    async def write(self, chunk: bytes, **_: Any) -> None:
        await asyncio.sleep(0.001)
        self.chunks.append(chunk)

    async def done(self, **_: Any) -> tuple[int, int, int]:
        return len(self.chunks), sum(map(len, self.chunks)), sum(map(sum, self.chunks)) % (1 << 32)
