"""Messages that go one way, with the `shipmate` command at the other end."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

import shipmate
from shipmate import Disconnected, ProtocolError, Unreachable

Record = shipmate.load("record.capnp").Record

RECORD = {
    "name": "depth",
    "value": -42,
    "tags": ["harbour", "船"],
    "position": {"latitude": 53.5, "longitude": -0.25},
    "readings": [{"sensor": "lead", "timeMillis": 7, "values": [1.5, -2.0]}, {"sensor": "echo", "values": []}],
    "body": {"bytes": bytes(range(256))},
}


@pytest.fixture(params=["tcp", "unix", "abstract"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where to listen."""
    return {"tcp": "tcp:127.0.0.1:0", "unix": f"unix:{tmp_path}/r", "abstract": f"unix:@{tmp_path}"}[request.param]


async def test_there_and_back(place: str) -> None:
    async with shipmate.receive_at(place, Record) as listener:
        async with await shipmate.send_to(listener.address, Record) as sender:
            await sender.send(**RECORD)
            built = Record.new_message(name="built")
            await sender.send(built)
            await sender.send(built)
        async with await listener.accept() as receiver:
            received = [message.to_dict() async for message in receiver]
            assert await receiver.receive() is None
    assert received[0]["readings"] == [RECORD["readings"][0], {**RECORD["readings"][1], "timeMillis": 0}]  # type: ignore[index]
    assert [message["name"] for message in received] == ["depth", "built", "built"]
    assert received[0]["body"] == RECORD["body"]


async def test_to_shipmate_recv(place: str, binaries: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    recv = await asyncio.create_subprocess_exec(binaries / "shipmate", "recv", place, stdout=pipe, stderr=pipe)
    assert recv.stderr is not None
    address = (await recv.stderr.readline()).decode().rpartition("listening at ")[2].strip()
    async with await shipmate.send_to(address, Record) as sender:
        await sender.send(**RECORD)
        await sender.send(name="wind", value=7)
    printed, _ = await recv.communicate()
    first, second = map(json.loads, printed.splitlines())
    assert (first["name"], first["value"], first["tags"]) == ("depth", -42, ["harbour", "船"])
    assert (second["name"], second["value"]) == ("wind", 7)


async def test_from_shipmate_send(place: str, binaries: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    async with shipmate.receive_at(place, Record) as listener:
        send = await asyncio.create_subprocess_exec(binaries / "shipmate", "send", str(listener.address), stdin=pipe)
        await send.communicate(b'{"name": "depth", "value": 42}\n{"name": "wind", "tags": ["a", "b"]}\n')
        async with await listener.accept() as receiver:
            received = [message async for message in receiver]
    assert send.returncode == 0
    assert [(message.name, message.value, list(message.tags)) for message in received] == [
        ("depth", 42, []),
        ("wind", 0, ["a", "b"]),
    ]


async def test_a_slow_receiver_holds_the_sender_back(place: str) -> None:
    """What is under way is what sockets hold, and not all that was sent."""
    async with shipmate.receive_at(place, Record) as listener:
        sender = await shipmate.send_to(listener.address, Record)
        async with await listener.accept() as receiver:
            await holds_back(sender, receiver)
            await sender.close()
            assert await receiver.receive() is None


async def holds_back(sender: shipmate.Sender, receiver: shipmate.Receiver) -> None:
    """Sends a lot, and looks that no more is under way than what may wait."""
    sent = 0

    async def send() -> None:
        nonlocal sent
        for number in range(64):
            await sender.send(value=number, body={"bytes": bytes(1 << 20)})
            sent += 1

    sending = asyncio.ensure_future(send())
    for number in range(64):
        message = await receiver.receive()
        assert message.value == number
        assert sent <= number + 16
    await sending


async def test_a_receiver_that_is_gone(place: str) -> None:
    async with shipmate.receive_at(place, Record) as listener:
        sender = await shipmate.send_to(listener.address, Record)
        await (await listener.accept()).close()
        with pytest.raises(Disconnected):
            while True:
                await sender.send(body={"bytes": bytes(1 << 20)})
        with pytest.raises(Disconnected):
            await sender.close()


async def test_nobody_receives(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        await shipmate.send_to(f"unix:{tmp_path}/nobody", Record)


async def test_a_message_that_is_too_large_is_not_sent(place: str) -> None:
    async with shipmate.receive_at(place, Record) as listener:
        async with await shipmate.send_to(listener.address, Record) as sender:
            with pytest.raises(ValueError, match="split it"):
                await sender.send(body={"bytes": bytes(64 << 20)})
            await sender.send(name="small")
        async with await listener.accept() as receiver:
            assert (await receiver.receive()).name == "small"


FRAME = Record.new_message(name="depth").to_bytes()


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (FRAME[:1], Disconnected),
        (FRAME[:7], Disconnected),
        (FRAME[:-1], Disconnected),
        (struct.pack("<I", 512), ProtocolError),
        (b"\xff" * 16, ProtocolError),
        (b"GET / HTTP/1.1\r\n\r\n", ProtocolError),
        (struct.pack("<II", 0, 1 << 28), ProtocolError),
    ],
)
async def test_what_is_no_message(place: str, sent: bytes, error: type[Exception]) -> None:
    async with shipmate.receive_at(place, Record) as listener:
        with await _connected(listener.address) as sender:
            sender.sendall(FRAME + sent)
        async with await listener.accept() as receiver:
            assert (await receiver.receive()).name == "depth"
            with pytest.raises(error):
                await receiver.receive()


async def test_a_message_of_many_segments_is_read_in_place(place: str) -> None:
    message: Any = Record.new_message(num_first_segment_words=1, body={"bytes": b"\7" * 3000})
    message.name = "x" * 5000
    assert len(message.to_segments()) > 1
    async with shipmate.receive_at(place, Record) as listener:
        async with await shipmate.send_to(listener.address, Record) as sender:
            await sender.send(message)
        async with await listener.accept() as receiver:
            received = await receiver.receive()
    assert received.name == "x" * 5000
    assert received.body.get_data_as_view("bytes") == b"\7" * 3000


async def _connected(address: shipmate.Address) -> socket.socket:
    if address.transport == "tcp":
        return socket.create_connection((address.place, address.port))
    connected = socket.socket(socket.AF_UNIX)
    connected.connect("\0" + address.place[1:] if address.place.startswith("@") else address.place)
    return connected
