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
from ._library import LibraryListener, LibrarySender
from .address import Address
from .client import CONNECT_SECONDS
from .errors import Disconnected, ProtocolError

MESSAGE_BYTES_MAX = 64 << 20
SEGMENTS_MAX = 512

_QUEUE_BYTES = 64 << 10
"""What may wait in the process for a slow receiver."""


async def send_to(
    address: str | Address, struct: Any, *, timeout: float = CONNECT_SECONDS, tier: str = "copy"
) -> Sender:
    """Connects to a receiver of messages of this struct of a schema. Raises `Unreachable` when there is none.

    `tier` is for shared memory: "copy", "sealed" or "trusted". What both sides take is used.
    """
    address = Address.parse(str(address))
    if address.transport not in ("tcp", "unix"):
        through = LibrarySender(address, timeout, tier)
        await through.open()
        return Sender(through, struct)
    connected = await _sockets.connect(address, timeout)
    _, writer = await asyncio.open_connection(sock=connected)
    writer.transport.set_write_buffer_limits(_QUEUE_BYTES)
    return Sender(SocketSink(writer), struct)


class Sender:
    """Sends messages to one receiver."""

    def __init__(self, sink: Sink, struct: Any) -> None:
        self._sink = sink
        self._struct = struct

    async def send(self, message: Any = None, /, **fields: Any) -> None:
        """Sends a message: one that was built (`Record.new_message()`), or one of these fields.

        A slow receiver makes it wait. Raises `Disconnected` when the receiver is gone.
        """
        await self._sink.send(self._struct, message, fields)

    async def close(self) -> None:
        """Ends the stream: the receiver gets all that was sent, and then the end."""
        await self._sink.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@asynccontextmanager
async def receive_at(address: str | Address, struct: Any, *, tier: str = "copy") -> AsyncIterator[Listener]:
    """Waits for senders of messages of this struct at an address until the block ends. `tier` as in `send_to`."""
    address = Address.parse(str(address))
    if address.transport not in ("tcp", "unix"):
        through = LibraryListener(address, tier)
        try:
            yield Listener(through, address, struct)
        finally:
            await through.close()
        return
    listening, address = _sockets.listen(address)
    try:
        yield Listener(SocketListener(listening), address, struct)
    finally:
        _sockets.stop_listening(listening, address)


class Listener:
    """Made by `receive_at`."""

    def __init__(self, listening: SocketListener | LibraryListener, address: Address, struct: Any) -> None:
        self.address = address
        """Where it listens, with the port that the system chose."""
        self._listening = listening
        self._struct = struct

    async def accept(self) -> Receiver:
        """The next sender's messages."""
        return Receiver(await self._listening.accept(), self._struct)


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

    async def receive_segments(self) -> Message | None:
        """The next message as the bytes of its segments, or None at the end; the errors are those of `receive`."""
        segments = await self._frames.next()
        return None if segments is None else Message(segments, self._struct)

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


class Message:
    """The segments of a message: read-only views, which are not copies.

    Over shared memory they are what the sender has written, and it gets its memory back when the message is closed,
    or collected, and nothing made of it is left.
    """

    def __init__(self, segments: Sequence[memoryview], struct: Any) -> None:
        self.segments = tuple(segments)
        self._struct = struct

    def read(self) -> Any:
        """What `Receiver.receive` gives. While it is there, the message cannot be closed."""
        # pycapnp would take a view that was released for memory.
        _ = [segment.nbytes for segment in self.segments]
        return self._struct.from_segments(self.segments)

    def close(self) -> None:
        """Gives the memory back, once what was made of it (an array of numpy, for example) is gone too. Using a
        segment afterwards raises `ValueError`; while something that was `read` is there, this raises `BufferError`."""
        for segment in self.segments:
            segment.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sink(Protocol):
    """Where messages go to."""

    async def send(self, struct: Any, message: Any, fields: dict[str, Any]) -> None:
        """Sends the message, or, when that is None, one of these fields."""

    async def close(self) -> None: ...


class SocketSink:
    """Messages in the standard framing."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, struct: Any, message: Any, fields: dict[str, Any]) -> None:
        if message is None:
            message = struct.new_message(**fields)
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
        try:
            self._writer.close()
            await self._writer.wait_closed()
        except ConnectionError as error:
            raise Disconnected(str(error)) from error


class SocketListener:
    """Senders that connect to a socket."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening

    async def accept(self) -> SocketFrames:
        accepted, _ = await asyncio.get_running_loop().sock_accept(self._listening)
        return SocketFrames(*await asyncio.open_connection(sock=accepted))


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
