"""Connections: how they are made, how they end, and what calls see of it."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import capnp
import pytest

import shipmate
from shipmate import Backoff, Connector, Disconnected, Unreachable

from .conftest import Shipmated

Conformance = shipmate.load("conformance.capnp").Conformance
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def until_waiting(service: Any, count: int) -> None:
    while (await service.hanging()).waiting != count:
        await asyncio.sleep(0.002)


async def test_a_connection_that_is_not_closed_by_hand(conformance: str) -> None:
    connection = await shipmate.connect(conformance)
    service = connection.bootstrap(Conformance)
    assert (await service.text(value="ahoy")).value == "ahoy"
    assert connection.is_open
    await connection.close()
    assert not connection.is_open
    with pytest.raises(Disconnected):
        await service.text(value="ahoy")
    with pytest.raises(Disconnected):
        connection.bootstrap(Conformance)


async def test_calls_in_flight_when_we_close(conformance: str) -> None:
    async with shipmate.connect(conformance) as connection:
        service = connection.bootstrap(Conformance)
        calls = [asyncio.ensure_future(service.hang()) for _ in range(10)]
        await until_waiting(service, 10)
    for call in calls:
        with pytest.raises(Disconnected):
            await call


async def test_calls_in_flight_when_the_server_dies(conformance_server: Shipmated) -> None:
    async with shipmate.connect(conformance_server.addresses[0]) as connection:
        service = connection.bootstrap(Conformance)
        calls = [asyncio.ensure_future(service.hang()) for _ in range(10)]
        await until_waiting(service, 10)
        conformance_server.kill()
        for call in calls:
            with pytest.raises(Disconnected):
                await call
        await connection.wait_closed()
        assert not connection.is_open


async def test_a_deadline_ends_the_servers_work(conformance: str) -> None:
    async with shipmate.connect(conformance) as connection:
        service = connection.bootstrap(Conformance)
        with pytest.raises(shipmate.Deadline) as caught:
            async with shipmate.deadline(0.05):
                await service.hang()
        assert isinstance(caught.value, TimeoutError)
        while (await service.hanging()).cancelled != 1:
            await asyncio.sleep(0.002)
        assert (await service.hanging()).waiting == 0


async def test_a_deadline_leaves_other_timeouts_alone() -> None:
    with pytest.raises(TimeoutError, match="another") as caught:
        async with shipmate.deadline(60):
            raise TimeoutError("another")
    assert type(caught.value) is TimeoutError


async def test_errors_are_still_those_of_pycapnp(conformance: str) -> None:
    async with shipmate.connect(conformance) as connection:
        service = connection.bootstrap(Conformance)
        with pytest.raises(capnp.KjException) as caught:
            await service.fail(kind="overloaded", reason="too much")
        assert isinstance(caught.value, shipmate.ServiceError)
        assert (caught.value.type, caught.value.reason) == ("OVERLOADED", "too much")
        with pytest.raises(AttributeError):
            service.noSuchMethod()


async def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="nobody answers at unix:"):
        await shipmate.connect(f"unix:{tmp_path}/nobody")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(Unreachable, match=f"tcp:127.0.0.1:{port}"):
        await shipmate.connect(f"tcp:127.0.0.1:{port}")
    with pytest.raises(Unreachable):
        await shipmate.connect("tcp:no-such-host.invalid:1")


async def test_a_server_that_does_not_accept(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as first:
        listening.bind(str(tmp_path / "full"))
        listening.listen(0)
        first.connect(str(tmp_path / "full"))
        with pytest.raises(Unreachable, match="nobody answers"):
            await shipmate.connect(f"unix:{tmp_path}/full", timeout=0.05)


@asynccontextmanager
async def peer(folder: Path, behave: Peer) -> AsyncIterator[Any]:
    """A connection whose peer behaves so."""
    server = await asyncio.start_unix_server(behave, folder / "peer")
    try:
        async with shipmate.connect(f"unix:{folder}/peer") as connection:
            yield connection
    finally:
        server.close()
        await server.wait_closed()


NOISE = [
    b"",
    b"\0" * 8,
    b"\xff" * 64,
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    # Announces 32 GiB.
    b"\0\0\0\0\xff\xff\xff\xff" * 4,
    # A segment of two words, of which one comes.
    b"\0\0\0\0\2\0\0\0" + b"\0" * 8,
    # A root pointer that points outside.
    b"\0\0\0\0\1\0\0\0" + b"\xfc\xff\xff\x7f\1\0\1\0",
    *(random.Random(seed).randbytes(8 * seed + 5) for seed in range(10)),
]


@pytest.mark.parametrize("noise", NOISE, ids=range(len(NOISE)))
@pytest.mark.parametrize("end", ["closes", "stays"])
async def test_a_peer_that_breaks_the_protocol(tmp_path: Path, noise: bytes, end: str) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(noise)
        await writer.drain()
        if end == "stays":
            await reader.read()
        writer.close()

    async with peer(tmp_path, behave) as connection:
        # Half a message may always be followed by the other half.
        waits = end == "stays"
        with pytest.raises((Disconnected, shipmate.Deadline) if waits else Disconnected):
            async with shipmate.deadline(0.5 if waits else 60):
                await connection.bootstrap(Conformance).extremes()


async def test_a_slow_peer_makes_us_wait_and_loses_nothing(conformance: str) -> None:
    """More than sockets hold, in both directions at once."""
    async with shipmate.connect(conformance) as connection:
        service = connection.bootstrap(Conformance)
        values = [bytes([number]) * (1 << 20) for number in range(24)]
        echoed = await asyncio.gather(*(service.data(value=value) for value in values))
        assert [answer.value for answer in echoed] == values


async def test_no_descriptor_is_left_behind(conformance: str, tmp_path: Path) -> None:
    async def once() -> None:
        async with shipmate.connect(conformance) as connection:
            service = connection.bootstrap(Conformance)
            hanging = asyncio.ensure_future(service.hang())
            await service.text(value="ahoy")
        with pytest.raises(Disconnected):
            await hanging
        with pytest.raises(Unreachable):
            await shipmate.connect(f"unix:{tmp_path}/nobody")

    await once()
    before = os.listdir("/proc/self/fd")
    for _ in range(50):
        await once()
    assert len(os.listdir("/proc/self/fd")) == len(before)


async def test_a_connector_makes_a_new_connection(conformance_server: Shipmated) -> None:
    async with Connector(conformance_server.addresses[0], Backoff(attempts=20)) as connector:
        first = await connector.connection()
        assert await connector.connection() is first
        conformance_server.kill()
        await first.wait_closed()
        connecting = asyncio.ensure_future(connector.connection())
        conformance_server.start()
        second = await connecting
        assert second is not first
        assert (await second.bootstrap(Conformance).text(value="again")).value == "again"


async def test_a_connector_gives_up(tmp_path: Path) -> None:
    connector = Connector(f"unix:{tmp_path}/nobody", Backoff(attempts=3, first=0.001))
    with pytest.raises(Unreachable):
        await connector.connection()


def test_pauses_grow_and_end() -> None:
    pauses = list(Backoff(attempts=5, first=0.1, longest=0.35, factor=2).pauses())
    assert len(pauses) == 4
    for pause, full in zip(pauses, (0.1, 0.2, 0.35, 0.35), strict=True):
        assert full / 2 <= pause <= full


def test_the_loop_of_kj_ends_with_asyncio_run(conformance: str) -> None:
    async def main() -> str:
        async with shipmate.connect(conformance) as connection:
            answer: str = (await connection.bootstrap(Conformance).text(value="ahoy")).value
            return answer

    assert [asyncio.run(main()) for _ in range(3)] == ["ahoy"] * 3
