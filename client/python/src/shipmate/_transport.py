"""A transport of asyncio for the way in which KJ reads and writes a socket.

pycapnp pauses reading after each message and writes each segment of a message for itself. asyncio's own
transport turns the first into two calls of `epoll_ctl` and the second into a `send` each, and the peer wakes
up for half a message. Here a pause costs nothing unless something arrives in it, and what is written while
the loop handles one event leaves with one `sendmsg`.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque

import capnp
from capnp.lib.capnp import _PyAsyncIoStreamProtocol

QUEUE_BYTES_MAX = 256 << 10
"""What may wait for a slow peer before KJ is told to stop writing; it goes on at a quarter of it."""

_PIECES_MAX = 1024
"""What Linux takes in one `sendmsg` (IOV_MAX)."""


def open_stream(sock: socket.socket) -> tuple[capnp.AsyncIoStream, SocketTransport]:
    """A stream for KJ over a connected socket, and what carries it. Closing the latter ends both."""
    stream = capnp.AsyncIoStream()
    protocol = _PyAsyncIoStreamProtocol()
    transport = SocketTransport(sock, protocol)
    protocol.connection_made(transport)
    stream._post_init(protocol)
    return stream, transport


class SocketTransport(asyncio.Transport):
    """Carries bytes between a connected stream socket and a `BufferedProtocol`."""

    def __init__(self, sock: socket.socket, protocol: asyncio.BufferedProtocol) -> None:
        super().__init__({"socket": sock})
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._protocol = protocol
        self._closing = False
        self._ends_writing = False
        self._reading_paused = False
        self._writing_paused = False
        self._queue: deque[memoryview] = deque()
        self._queue_bytes = 0
        self._watches_writable = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._watch_readable()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Sends what the socket still takes, and ends the connection."""
        if self._queue:
            self._flush()
        self._end(None)

    async def wait_closed(self) -> None:
        """Returns when the socket is closed."""
        await asyncio.shield(self._ended)

    # Reading.

    def is_reading(self) -> bool:
        return not self._reading_paused and not self._closing

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self) -> None:
        self._reading_paused = False
        if not self._watches_readable and not self._closing:
            self._watch_readable()

    def _watch_readable(self) -> None:
        self._loop.add_reader(self._sock, self._on_readable)
        self._watches_readable = True

    def _on_readable(self) -> None:
        if self._reading_paused:
            self._loop.remove_reader(self._sock)
            self._watches_readable = False
            return
        try:
            received = self._sock.recv_into(self._protocol.get_buffer(-1))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if received:
            self._protocol.buffer_updated(received)
        else:
            self._protocol.eof_received()
            self.close()

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not data:
            return
        if not self._queue:
            self._loop.call_soon(self._flush)
        self._queue.append(memoryview(data))
        self._queue_bytes += len(data)
        if self._queue_bytes > QUEUE_BYTES_MAX and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._ends_writing = True
        if not self._queue:
            self._loop.call_soon(self._flush)

    def get_write_buffer_size(self) -> int:
        return self._queue_bytes

    def _flush(self) -> None:
        if self._closing:
            return
        try:
            self._send_queue()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._end(error)
            return
        if bool(self._queue) != self._watches_writable:
            self._watches_writable = not self._watches_writable
            if self._watches_writable:
                self._loop.add_writer(self._sock, self._flush)
            else:
                self._loop.remove_writer(self._sock)
        if self._writing_paused and self._queue_bytes <= QUEUE_BYTES_MAX // 4:
            self._writing_paused = False
            self._protocol.resume_writing()

    def _send_queue(self) -> None:
        while self._queue:
            sent = self._sock.sendmsg([*self._queue][:_PIECES_MAX])
            self._queue_bytes -= sent
            while sent:
                piece = self._queue.popleft()
                if sent < len(piece):
                    self._queue.appendleft(piece[sent:])
                    break
                sent -= len(piece)
        if self._ends_writing:
            self._sock.shutdown(socket.SHUT_WR)

    # The end.

    def _end(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._queue.clear()
        self._queue_bytes = 0
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._loop.call_soon(self._lose, error)

    def _lose(self, error: OSError | None) -> None:
        self._sock.close()
        self._protocol.connection_lost(error)
        self._ended.set_result(None)
