"""Messages of several segments, and large ones."""

from __future__ import annotations

from typing import Any

from .check import equal, same

MIB = 1 << 20


async def multi_segment(server: Any) -> None:
    """No part fits into what is left of a segment, so that both messages have many."""
    parts = [bytes([n]) * (n * 1000) for n in range(3, 23)]
    echoed = (await server.segments(parts=parts)).parts
    equal("the number of parts", len(echoed), len(parts))
    for part, expected in zip(echoed, parts, strict=True):
        same("a part", part, expected)


async def large(server: Any) -> None:
    await _echo(server, MIB)
    await _give(server, MIB)
    await _give(server, 32 * MIB)
    await _echo(server, 32 * MIB)


async def _echo(server: Any, size: int) -> None:
    sent = _pattern(size)
    same("what was sent", (await server.data(value=sent)).value, sent)


async def _give(server: Any, size: int) -> None:
    same("what was asked for", (await server.large(bytes=size)).value, _pattern(size))


def _pattern(size: int) -> bytes:
    """It repeats after 256 bytes."""
    return bytes((index * 31 + 7) % 256 for index in range(256)) * (size // 256)
