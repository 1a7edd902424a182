"""References to objects, of the server and of this program."""

from __future__ import annotations

import asyncio
from typing import Any

from .check import equal, same, schema


async def capability(server: Any) -> None:
    one = (await server.newCounter(start=10)).counter
    other = (await server.newCounter(start=100)).counter
    equal("10 + 5", (await one.add(amount=5)).value, 15)
    equal("100 - 1", (await other.add(amount=-1)).value, 99)
    equal("the one", (await one.read()).value, 15)
    equal("the other", (await other.read()).value, 99)


async def identity(server: Any) -> None:
    """An object is known again when it comes back to where it lives."""
    theirs = (await server.newCounter(start=11)).counter
    identified = await server.identify(counter=theirs)
    equal("a counter of the server: own, and its value", (identified.own, identified.value), (True, 11))

    ours = Counter(22)
    identified = await server.identify(counter=ours)
    equal("a counter of ours: own, and its value", (identified.own, identified.value), (False, 22))
    equal("how often it was read", ours.reads, 1)

    echoed = (await server.echoCounter(counter=ours)).counter
    equal("22 + 3", (await echoed.add(amount=3)).value, 25)
    equal("the object that was called", ours.value, 25)


class Counter(schema.Counter.Server):
    """A counter of this program."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.reads = 0

    async def add(self, amount: int, **_: Any) -> int:
        self.value += amount
        return self.value

    async def read(self, **_: Any) -> int:
        self.reads += 1
        return self.value


async def callback(server: Any) -> None:
    """The server calls an object of ours."""
    doubler = Doubler()
    total = (await server.call(callback=doubler, times=100)).sum
    same("the numbers it was called with", doubler.numbers, list(range(100)))
    equal("the sum of what it answered", total, 9900)


class Doubler(schema.Callback.Server):
    def __init__(self) -> None:
        self.numbers: list[int] = []

    async def call(self, number: int, **_: Any) -> int:
        self.numbers.append(number)
        return number * 2


async def reentrant(server: Any) -> None:
    """The server calls us, and before we answer we call the server, and so on."""
    calls = Reentrant()
    equal("the depth", (await server.reenter(callback=calls, depth=5)).depth, 5)
    equal("the depths it was called with", calls.depths, [4, 3, 2, 1, 0])


class Reentrant(schema.Reentrant.Server):
    def __init__(self) -> None:
        self.depths: list[int] = []

    async def call(self, server: Any, depth: int, **_: Any) -> int:
        self.depths.append(depth)
        reached: int = (await server.reenter(callback=self, depth=depth)).depth
        return reached


async def pipelining(server: Any) -> None:
    """Calls on what has not been returned yet: all five are on their way before the first is answered."""
    depth = await server.node().node.next().node.next().node.next().node.depth()
    equal("the depth of the fourth node", depth.depth, 3)


async def out_of_order(server: Any) -> None:
    """Two results of one call, used before it returned. The server sets the second first."""
    pair = server.pair()
    first, second = await asyncio.gather(pair.first.read(), pair.second.read())
    equal("first", first.value, 1)
    equal("second", second.value, 2)
