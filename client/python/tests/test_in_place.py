"""Messages through the C library: over every address, and in shared memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from pathlib import Path
from typing import Any

import numpy
import pytest

import shipmate
from shipmate import AddressError, Disconnected, Unreachable

from .test_messages import holds_back
from .test_native import library, needs_library

__all__ = ["library"]

Record = shipmate.load("record.capnp").Record

pytestmark = [needs_library, pytest.mark.usefixtures("library")]

LARGE = numpy.arange(100_000, dtype="<i8").tobytes()


@pytest.fixture(params=["pipe", "shm", "auto"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}:{tmp_path}/r"


@pytest.fixture
def shared(tmp_path: Path) -> str:
    return f"shm:{tmp_path}/r"


async def test_there_and_back(place: str) -> None:
    async with shipmate.receive_at(place, Record) as listener:
        accepting = asyncio.ensure_future(listener.accept())
        sender = await shipmate.send_to(place, Record)
        async with await accepting as receiver:
            message = Record.new_message(name="depth", value=-42)
            for _ in range(3):
                await sender.send(message)
                assert (await receiver.receive()).value == -42
            for number in range(3):
                # A pipe takes less than that at once.
                _, received = await asyncio.gather(sender.send(value=number, body={"bytes": LARGE}), receiver.receive())
                assert received.value == number
                assert shipmate.view(received.body, "bytes") == LARGE
            await sender.close()
            assert await receiver.receive() is None
            assert await receiver.receive() is None


async def test_with_the_command_line(place: str, binaries: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    async with shipmate.receive_at(place, Record) as listener:
        send = await asyncio.create_subprocess_exec(binaries / "shipmate", "send", place, stdin=pipe)
        async with await listener.accept() as receiver:
            await send.communicate(b'{"name": "depth", "value": 42}\n{"name": "wind"}\n')
            assert [message.name async for message in receiver] == ["depth", "wind"]
    assert send.returncode == 0


@pytest.mark.parametrize(
    ("tiers", "payload", "kind"),
    [
        (("trusted", "trusted"), LARGE, "memfd"),
        (("sealed", "trusted"), LARGE * 6, "memfd"),
        (("copy", "trusted"), LARGE, "copied"),
    ],
    ids=["trusted", "sealed", "copy"],
)
async def test_an_array_of_numpy_lies_in_shared_memory(
    shared: str, tiers: tuple[str, str], payload: bytes, kind: str
) -> None:
    async with _pair(shared, *tiers) as (sender, receiver):
        for number in range(5):
            await sender.send(value=number, body={"bytes": payload})
            with _received(await receiver.receive_segments()) as message:
                array = numpy.frombuffer(shipmate.view(message.read().body, "bytes"), dtype="<i8")
                assert array.tobytes() == payload
                assert not array.flags.writeable
                assert _kind_of(array) == kind
                # The view is of the message, and goes before it.
                del array


async def test_what_was_closed_cannot_be_used(shared: str) -> None:
    async with _pair(shared, "trusted", "trusted") as (sender, receiver):
        await sender.send(body={"bytes": LARGE})
        message = _received(await receiver.receive_segments())
        (segment,) = message.segments
        array = numpy.frombuffer(segment, dtype="<i8")
        record = message.read()
        with pytest.raises(BufferError):
            message.close()
        del record
        message.close()
        with pytest.raises(ValueError, match="released"):
            segment[0]
        with pytest.raises(ValueError, match="released"):
            message.read()
        # An array has a view of its own, and keeps the memory.
        await sender.send(body={"bytes": bytes(len(LARGE))})
        assert await receiver.receive_segments() is not None
        assert LARGE in array.tobytes()


async def test_what_goes_back_is_used_again(shared: str) -> None:
    """By closing, or by forgetting. (A blob that is idle for long, on a machine that is busy, may be replaced.)"""
    async with _pair(shared, "trusted", "trusted") as (sender, receiver):
        places: set[int] = set()
        for number in range(40):
            await sender.send(value=number, body={"bytes": LARGE})
            message = await receiver.receive()
            assert message.value == number
            places.add(_address(shipmate.view(message.body, "bytes")))
            del message
            gc.collect()
        assert len(places) < 10


async def test_what_is_held_stays_as_it_was(shared: str) -> None:
    async with _pair(shared, "trusted", "trusted") as (sender, receiver):
        held = []
        for number in range(8):
            await sender.send(value=number, body={"bytes": bytes([number]) * len(LARGE)})
            held.append(await receiver.receive())
        for number, message in enumerate(held):
            assert shipmate.view(message.body, "bytes") == bytes([number]) * len(LARGE)
    # Even when both sides are closed.
    assert shipmate.view(held[7].body, "bytes")[0] == 7


async def test_a_wait_that_is_cancelled_loses_nothing(shared: str) -> None:
    async with _pair(shared, "copy", "copy") as (sender, receiver):
        for number in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(receiver.receive(), 0.01)
            await sender.send(value=number)
            assert (await receiver.receive()).value == number


async def test_the_loop_goes_on_while_a_receiver_is_slow(shared: str) -> None:
    async with _pair(shared, "copy", "copy") as (sender, receiver):
        await holds_back(sender, receiver)


async def test_the_other_side_is_gone(shared: str) -> None:
    async with _pair(shared, "trusted", "trusted") as (sender, receiver):
        await receiver.close()
        with pytest.raises(Disconnected):
            while True:
                await sender.send(body={"bytes": LARGE})


async def test_what_cannot_be(shared: str) -> None:
    with pytest.raises(Unreachable):
        await shipmate.send_to(shared, Record)
    with pytest.raises(AddressError, match="trusted"):
        await shipmate.send_to(shared, Record, tier="nonsense")
    async with shipmate.receive_at(shared, Record):
        with pytest.raises(AddressError):
            async with shipmate.receive_at(shared, Record):
                pass


class _pair:  # noqa: N801
    """A sender and its receiver."""

    def __init__(self, place: str, receives: str, sends: str) -> None:
        self._place, self._receives, self._sends = place, receives, sends

    async def __aenter__(self) -> tuple[shipmate.Sender, shipmate.Receiver]:
        async with shipmate.receive_at(self._place, Record, tier=self._receives) as listener:
            accepting = asyncio.ensure_future(listener.accept())
            self._sender = await shipmate.send_to(self._place, Record, tier=self._sends)
            self._receiver = await accepting
        return self._sender, self._receiver

    async def __aexit__(self, *_: object) -> None:
        await self._receiver.close()
        # It may have had something to say to a receiver that is gone.
        with contextlib.suppress(Disconnected):
            await self._sender.close()


def _received(message: shipmate.Message | None) -> shipmate.Message:
    assert message is not None
    return message


def _address(view: Any) -> int:
    address: int = numpy.frombuffer(view, dtype="u1").__array_interface__["data"][0]
    return address


def _kind_of(array: Any) -> str:
    """Whether all of it lies in one mapping of a memory file that cannot be written."""
    address, size = _address(array), array.nbytes
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(number, 16) for number in line.split()[0].split("-"))
        if start <= address < end:
            if "/memfd:" not in line:
                return "copied"
            assert address + size <= end
            assert line.split()[1].startswith("r--")
            return "memfd"
    raise AssertionError("nowhere")
