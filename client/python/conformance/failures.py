"""Calls that are given up, that fail, and that are many."""

from __future__ import annotations

import asyncio
from typing import Any

import shipmate
from shipmate import Deadline, Disconnected, ErrorKind, ServiceError

from .check import Wrong, equal


async def cancel(server: Any) -> None:
    """A call that is given up ends at the server too, and no other does."""
    waiting, cancelled = await _hanging(server)
    one, other = server.hang(), server.hang()
    await until_hanging(server, (waiting + 2, cancelled))
    one.cancel()
    await until_hanging(server, (waiting + 1, cancelled + 1))
    waits = asyncio.ensure_future(other)
    await asyncio.sleep(0)
    waits.cancel()
    await until_hanging(server, (waiting, cancelled + 2))


async def _hanging(server: Any) -> tuple[int, int]:
    """How many calls wait, and how many were cancelled."""
    counts = await server.hanging()
    return counts.waiting, counts.cancelled


async def until_hanging(server: Any, expected: tuple[int, int]) -> None:
    """Asks until the counts are as expected; the time allowed for a step ends it."""
    while (seen := await _hanging(server)) != expected:
        if seen[1] > expected[1]:
            raise Wrong(f"waiting and cancelled: expected {expected} and saw {seen}")
        await asyncio.sleep(0.002)


async def typed_error(server: Any) -> None:
    """Errors of the application are values."""
    for code in (0, 1, 65535):
        outcome = (await server.refuse(code=code)).outcome
        match str(outcome.which()):
            case "value":
                equal("the code of the refusal", None, code or None)
            case "error":
                equal("the code of the refusal", outcome.error.code, code)


async def error_kinds(server: Any) -> None:
    """Exceptions keep their kind, and their reason word for word."""
    for kind in (*ErrorKind, "disconnected"):
        expected = f"the reason for {kind}"
        try:
            await server.fail(kind=str(kind), reason=expected)
        except ServiceError as error:
            equal("the kind", error.kind, kind)
            equal("the reason", error.reason, expected)
        except Disconnected as error:
            equal("the kind", "disconnected", kind)
            equal("the reason", error.reason, expected)
        else:
            raise Wrong(f"{kind}: an error was expected, and it succeeded")
        await _goes_on(server)


async def deadline(server: Any) -> None:
    async with shipmate.deadline(30):
        equal("the time it waited", (await server.delay(millis=20)).millis, 20)
    try:
        async with shipmate.deadline(0.05):
            await server.delay(millis=60_000)
    except Deadline:
        await _goes_on(server)
    else:
        raise Wrong("a call that takes too long: Deadline was expected, and it succeeded")


async def _goes_on(server: Any) -> None:
    """A call that has failed costs nothing but itself."""
    equal("the next call", (await server.text(value="still there")).value, "still there")


async def many(server: Any) -> None:
    answers = await asyncio.gather(*(server.text(value=f"call {number}") for number in range(1000)))
    same = [answer.value for answer in answers] == [f"call {number}" for number in range(1000)]
    equal("each call has its own answer", same, True)
