"""A Python process as a server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import shipmate
from shipmate import AddressError, Disconnected, ServiceError

from .test_conformance import FOLDER

schema: Any = shipmate.load("conformance.capnp")


class Service(schema.Conformance.Server):
    ended = 0

    async def text(self, value: str, **_: Any) -> tuple[str, int]:
        match value:
            case "refuse":
                raise ServiceError("not today")
            case "fail":
                raise ZeroDivisionError("a secret place: /home/me")
        return value, len(value.encode())

    async def hang(self, **_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            Service.ended += 1


@pytest.fixture(params=["tcp", "unix"])
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[shipmate.Server]:
    Service.ended = 0
    place = {"tcp": "tcp:127.0.0.1:0", "unix": f"unix:{tmp_path}/s"}[request.param]
    async with shipmate.serve(place, Service) as server:
        yield server


async def test_a_method_says_why_it_failed(served: shipmate.Server, caplog: pytest.LogCaptureFixture) -> None:
    async with shipmate.connect(served.address) as connection:
        service = connection.bootstrap(schema.Conformance)
        assert (await service.text(value="船")).bytes == 3
        with pytest.raises(ServiceError) as refused:
            await service.text(value="refuse")
        assert refused.value.reason.endswith("not today")
        assert not caplog.records
        with pytest.raises(ServiceError) as failed:
            await service.text(value="fail")
        assert "Traceback" not in failed.value.reason
        assert "ZeroDivisionError" in failed.value.reason
        assert caplog.records[0].exc_info is not None
        caplog.clear()
        assert (await service.text(value="goes on")).value == "goes on"


async def until_ended(count: int) -> None:
    while Service.ended != count:
        await asyncio.sleep(0.002)


async def test_work_ends_with_the_call_and_with_the_connection(served: shipmate.Server) -> None:
    async with shipmate.connect(served.address) as connection:
        service = connection.bootstrap(schema.Conformance)
        with pytest.raises(shipmate.Deadline):
            async with shipmate.deadline(0.05):
                await service.hang()
        await until_ended(1)
        call = asyncio.ensure_future(service.hang())
        await service.text(value="the call is there")
    with pytest.raises(Disconnected):
        await call
    await until_ended(2)


async def test_clients_see_the_end_of_the_server(served: shipmate.Server) -> None:
    async with shipmate.connect(served.address) as connection:
        service = connection.bootstrap(schema.Conformance)
        call = asyncio.ensure_future(service.hang())
        await service.text(value="the call is there")
        await served.close()
        with pytest.raises(Disconnected):
            await call
        await connection.wait_closed()
    with pytest.raises(shipmate.Unreachable):
        await shipmate.connect(served.address)


async def test_noise_costs_a_client_its_own_connection(served: shipmate.Server) -> None:
    async with shipmate.connect(served.address) as connection:
        service = connection.bootstrap(schema.Conformance)
        for noise in (
            b"\0",
            b"\xff" * 64,
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0\0\0\0\1\0\0\0" + b"\xfc\xff\xff\x7f\1\0\1\0",
        ):
            reader, writer = await _open(served.address)
            writer.write(noise)
            writer.write_eof()
            # The server may say why (`Abort`), and ends the connection.
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            assert (await service.text(value="goes on")).value == "goes on"


async def test_no_descriptor_is_left_behind(served: shipmate.Server) -> None:
    async def once() -> None:
        async with shipmate.connect(served.address) as connection:
            await connection.bootstrap(schema.Conformance).text(value="ahoy")

    await once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        await once()
    # The server sees the end of the last connection a moment later.
    while len(os.listdir("/proc/self/fd")) > before:
        await asyncio.sleep(0.002)


async def test_the_file_of_a_dead_server_is_replaced_and_that_of_a_live_one_is_not(tmp_path: Path) -> None:
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    async with shipmate.serve(f"unix:{place}", Service):
        assert stat.S_ISSOCK(place.stat().st_mode)
        with pytest.raises(OSError, match="in use"):
            async with shipmate.serve(f"unix:{place}", Service):
                pass
        async with shipmate.connect(f"unix:{place}") as connection:
            assert connection.is_open
    assert not place.exists()


async def test_where_a_server_cannot_listen() -> None:
    with pytest.raises(AddressError, match="tcp: and unix:"):
        async with shipmate.serve("shm:/tmp/s", Service):
            pass


async def test_the_sample_serves_the_rust_client(tmp_path: Path, binaries: Path, arith: str) -> None:
    """It gives what the server in Rust gives."""
    address = f"unix:{tmp_path}/arith"
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "samples.serve_arith", address)
    sample = await asyncio.create_subprocess_exec(*command, cwd=FOLDER, stdout=pipe)
    try:
        assert sample.stdout is not None
        assert await sample.stdout.readline() == f"ready at {address}\n".encode()
        for method, a, b in (
            ("divide", 22, 7),
            ("divide", -22, 7),
            ("divide", 22, -7),
            ("divide", 1, 0),
            ("divide", -(1 << 63), -1),
            ("multiply", 6, -7),
            ("multiply", 1 << 62, 2),
        ):
            answers = []
            for at in (address, arith):
                options = ("arith", method, "--at", at, "--", str(a), str(b))
                rust = await asyncio.create_subprocess_exec(binaries / "shipmate", *options, stdout=pipe, stderr=pipe)
                answers.append(await rust.communicate())
            assert answers[0] == answers[1]
    finally:
        sample.send_signal(signal.SIGTERM)
        assert await sample.wait() == 0
    assert not (tmp_path / "arith").exists()


async def _open(address: shipmate.Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.transport == "tcp":
        return await asyncio.open_connection(address.place, address.port)
    return await asyncio.open_unix_connection(address.place)
