"""Messages that go one way, in Cap'n Proto's standard stream framing, with back-pressure.

Both ends:

    async with await shipmate.send_to("unix:/tmp/r", record.Record) as sender:
        await sender.send(name="depth", value=42)

    async with shipmate.receive_at("unix:/tmp/r", record.Record) as listener:
        async with await listener.accept() as receiver:
            async for message in receiver:
                print(message.name, message.value)

`shipmate recv` and `shipmate send` are the same in a shell.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, Self

from . import _sockets
from .address import Address
from .client import CONNECT_SECONDS
from .errors import AddressError, Disconnected, ProtocolError

MESSAGE_BYTES_MAX = 64 << 20
SEGMENTS_MAX = 512

_QUEUE_BYTES = 64 << 10
"""What may wait in the process for a slow receiver."""


async def send_to(address: str | Address, struct: Any, *, timeout: float = CONNECT_SECONDS) -> Sender:
    """Connects to a receiver of messages of this struct of a schema. Raises `Unreachable` when there is none."""
    address = Address.parse(str(address))
    if address.transport == "pipe":
        # There a message travels in the named pipe itself, and what connects is for calls.
        raise AddressError(f"{address}: Python sends messages to other addresses; `shipmate send` writes named pipes")
    connected = await _sockets.connect(address, timeout)
    _, writer = await asyncio.open_connection(sock=connected)
    writer.transport.set_write_buffer_limits(_QUEUE_BYTES)
    return Sender(writer, struct)


class Sender:
    """Sends messages to one receiver."""

    def __init__(self, writer: asyncio.StreamWriter, struct: Any) -> None:
        self._writer = writer
        self._struct = struct

    async def send(self, message: Any = None, /, **fields: Any) -> None:
        """Sends a message: one that was built (`Record.new_message()`), or one of these fields.

        A slow receiver makes it wait. Raises `Disconnected` when the receiver is gone.
        """
        if message is None:
            message = self._struct.new_message(**fields)
        frame = message.to_bytes()
        message.clear_write_flag()
        if len(frame) > MESSAGE_BYTES_MAX:
            raise ValueError(f"the message has {len(frame)} bytes, and {MESSAGE_BYTES_MAX} are allowed: split it")
        try:
            self._writer.write(frame)
            await self._writer.drain()
        except ConnectionError as error:
            raise Disconnected(str(error)) from error

    async def close(self) -> None:
        """Ends the stream: the receiver gets all that was sent, and then the end."""
        try:
            self._writer.close()
            await self._writer.wait_closed()
        except ConnectionError as error:
            raise Disconnected(str(error)) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@asynccontextmanager
async def receive_at(address: str | Address, struct: Any) -> AsyncIterator[Listener]:
    """Waits for senders of messages of this struct at a tcp: or unix: address until the block ends."""
    listening, address = _sockets.listen(Address.parse(str(address)))
    try:
        yield Listener(listening, address, struct)
    finally:
        _sockets.stop_listening(listening, address)


class Listener:
    """Made by `receive_at`."""

    def __init__(self, listening: socket.socket, address: Address, struct: Any) -> None:
        self.address = address
        """Where it listens, with the port that the system chose."""
        self._listening = listening
        self._struct = struct

    async def accept(self) -> Receiver:
        """The next sender's messages."""
        accepted, _ = await asyncio.get_running_loop().sock_accept(self._listening)
        return Receiver(SocketFrames(*await asyncio.open_connection(sock=accepted)), self._struct)


class Receiver:
    """The messages of one sender, in order: `async for message in receiver`."""

    def __init__(self, frames: Frames, struct: Any) -> None:
        self._frames = frames
        self._struct = struct

    async def receive(self) -> Any:
        """The next message, or None when the sender has ended the stream.

        Raises `Disconnected` when the stream ends inside a message, and `ProtocolError` for what is no message.
        """
        segments = await self._frames.next()
        return None if segments is None else self._struct.from_segments(segments)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (message := await self.receive()) is not None:
            yield message

    async def close(self) -> None:
        """Receives no more; the sender gets `Disconnected`."""
        await self._frames.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Frames(Protocol):
    """Where messages come from.

    A message reads its segments in place and keeps them alive: a source may hand out views of memory that it lent,
    and take it back when the last view is gone.
    """

    async def next(self) -> Sequence[memoryview] | None:
        """The segments of the next message, or None at the end."""

    async def close(self) -> None: ...


class SocketFrames:
    """Frames in the standard framing: the number of segments less one, their sizes in words, padded to a whole
    word; then the segments. All numbers have 32 bits, little-endian."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def next(self) -> Sequence[memoryview] | None:
        try:
            first = await self._reader.readexactly(4)
        except asyncio.IncompleteReadError as end:
            if end.partial:
                raise _cut_off() from None
            return None
        except ConnectionError as error:
            raise Disconnected(str(error)) from error
        try:
            return await self._segments(int.from_bytes(first, "little") + 1)
        except asyncio.IncompleteReadError:
            raise _cut_off() from None
        except ConnectionError as error:
            raise Disconnected(str(error)) from error

    async def _segments(self, count: int) -> Sequence[memoryview]:
        if count > SEGMENTS_MAX:
            raise ProtocolError(f"a message of {count} segments, and {SEGMENTS_MAX} are allowed: is it Cap'n Proto?")
        table = await self._reader.readexactly(4 * count + 4 * (count % 2 == 0))
        sizes = [8 * words for words in struct.unpack_from(f"<{count}I", table)]
        if sum(sizes) > MESSAGE_BYTES_MAX:
            raise ProtocolError(f"a message of {sum(sizes)} bytes, and {MESSAGE_BYTES_MAX} are allowed")
        body = memoryview(await self._reader.readexactly(sum(sizes)))
        segments, start = [], 0
        for size in sizes:
            segments.append(body[start : start + size])
            start += size
        return segments

    async def close(self) -> None:
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def _cut_off() -> Disconnected:
    return Disconnected("the stream ended inside a message")
