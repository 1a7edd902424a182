"""`serve`: a Python process as a server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import capnp

from . import _kj, _sockets, _transport
from .address import Address
from .client import MESSAGE_BYTES_MAX

_log = logging.getLogger("shipmate")

_PAUSE_AFTER_REFUSAL = 0.1
"""Seconds until the next attempt when the system has no descriptor for a connection."""


@asynccontextmanager
async def serve(
    address: str | Address, bootstrap: Callable[[], Any], *, message_bytes_max: int = MESSAGE_BYTES_MAX
) -> AsyncIterator[Server]:
    """Serves at a tcp: or unix: address until the block ends:

        class Adder(arith.Arith.Server):
            async def multiply(self, a, b, **_): ...

        async with serve("unix:/tmp/arith.sock", Adder) as server:
            await server.wait_closed()

    Each connection gets what `bootstrap` gives. A method that raises `ServiceError` answers with its reason.
    """
    await _kj.ensure_running()
    listening, address = _sockets.listen(Address.parse(str(address)))
    server = Server(listening, address, bootstrap, message_bytes_max)
    try:
        yield server
    finally:
        await server.close()


class Server:
    """Made by `serve`."""

    def __init__(
        self, listening: socket.socket, address: Address, bootstrap: Callable[[], Any], message_bytes_max: int
    ) -> None:
        self.address = address
        """Where it listens, with the port that the system chose."""
        self._listening = listening
        self._bootstrap = bootstrap
        self._message_bytes_max = message_bytes_max
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    async def wait_closed(self) -> None:
        """Returns when `close` was called."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(self._accepting)

    async def close(self) -> None:
        """Accepts no more, and ends the connections."""
        self._accepting.cancel()
        _sockets.stop_listening(self._listening, self.address)
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(self._accepting, *connections, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listening)
            except OSError as error:
                _log.error("%s: no connection can be accepted: %s", self.address, error)
                await asyncio.sleep(_PAUSE_AFTER_REFUSAL)
                continue
            connection = asyncio.create_task(self._serve(accepted))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream, transport = _transport.open_stream(accepted)
        try:
            words = self._message_bytes_max // 8
            rpc = capnp.TwoPartyServer(stream, bootstrap=self._bootstrap(), traversal_limit_in_words=words)
            with contextlib.suppress(capnp.KjException):
                await rpc.on_disconnect()
        finally:
            transport.close()
            await transport.wait_closed()
