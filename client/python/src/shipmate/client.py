"""The client: `connect` gives a `Connection`; a `Connector` makes a new one when it is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import capnp

from . import _kj, _sockets, _transport
from .address import Address
from .errors import Deadline, Disconnected, Unreachable

CONNECT_SECONDS = 10.0
MESSAGE_BYTES_MAX = 256 << 20
"""The largest message that is accepted, and how much of one may be read: what is read again counts again (KJ has
one limit for both). A server may accept less: `shipmated` takes 64 MiB."""


def connect(
    address: str | Address, *, timeout: float = CONNECT_SECONDS, message_bytes_max: int = MESSAGE_BYTES_MAX
) -> Connecting:
    """Connects to a server: `await connect(…)`, or `async with connect(…) as connection`, which closes it.

    Raises `AddressError` for an address that cannot be understood, and `Unreachable` when nobody answers there
    within `timeout` seconds.
    """
    return Connecting(Address.parse(str(address)), timeout, message_bytes_max)


@dataclass
class Connecting:
    """What `connect` gives: a connection in a moment."""

    address: Address
    timeout: float
    message_bytes_max: int
    _connection: Connection | None = None

    def __await__(self) -> Generator[Any, Any, Connection]:
        return self._connect().__await__()

    async def __aenter__(self) -> Connection:
        self._connection = await self._connect()
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        assert self._connection is not None
        await self._connection.close()

    async def _connect(self) -> Connection:
        await _kj.ensure_running()
        return Connection(await _sockets.connect(self.address, self.timeout), self.address, self.message_bytes_max)


class Connection:
    """A connection to one server."""

    def __init__(self, sock: Any, address: Address, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        """Over a connected stream socket. KJ's event loop must run."""
        self.address = address
        stream, self._transport = _transport.open_stream(sock)
        self._rpc = capnp.TwoPartyClient(stream, traversal_limit_in_words=message_bytes_max // 8)
        # KJ reads, and so notices the end, from the first question on.
        self._bootstrap = self._rpc.bootstrap()
        self._over: asyncio.Future[None] = self._rpc.on_disconnect()
        self._over.add_done_callback(self._on_disconnect)

    def bootstrap(self, interface: Any) -> Any:
        """The server's first capability, as the interface of a schema, such as `arith.Arith`.

        Its methods can be called at once; what they return can be awaited, and asked for a capability to call
        without waiting for it.
        """
        if not self.is_open:
            raise Disconnected("it is closed")
        return self._bootstrap.cast_as(interface)

    @property
    def is_open(self) -> bool:
        """False when the connection is over: closed, or lost."""
        return not self._transport.is_closing() and not self._over.done()

    async def wait_closed(self) -> None:
        """Returns when the connection is over, and its socket closed."""
        await self._transport.wait_closed()

    async def close(self) -> None:
        """Ends the connection. Calls in flight get `Disconnected`."""
        self._transport.close()
        await self._transport.wait_closed()

    def _on_disconnect(self, over: asyncio.Future[None]) -> None:
        """KJ ends a connection whose peer breaks the protocol, and leaves the socket open."""
        if not over.cancelled():
            over.exception()
        self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """The calls inside get so much time: `async with deadline(0.5): await arith.multiply(a=6, b=7)`.

    When it is over they are cancelled, at the server too, and `Deadline` is raised.
    """
    try:
        async with asyncio.timeout(seconds) as allowed:
            yield
    except TimeoutError:
        if not allowed.expired():
            raise
        raise Deadline(f"no answer within {seconds:g} s: the call was cancelled") from None


@dataclass(frozen=True)
class Backoff:
    """Tries again, with pauses that grow, each shortened by a random part of up to half, so that the clients of
    a restarted server do not all come at once."""

    attempts: int = 10
    """How many attempts in a row may fail before the last error is raised."""
    first: float = 0.05
    """Seconds of the first pause."""
    longest: float = 5.0
    """Seconds of the longest pause."""
    factor: float = 2.0
    """How much longer each pause is than the one before."""

    def pauses(self) -> Iterator[float]:
        """Seconds to wait after each attempt that failed, for as long as it is worth another."""
        pause = self.first
        for _ in range(self.attempts - 1):
            yield min(pause, self.longest) * random.uniform(0.5, 1)
            pause = min(pause * self.factor, self.longest)


NEVER = Backoff(attempts=1)
"""Makes one attempt at a time."""


class Connector:
    """Gives a live connection to an address, and makes a new one when the last is lost.

    It never repeats a call: those in flight when a connection is lost raise `Disconnected`, and only the caller
    knows whether they may be made again.
    """

    def __init__(
        self, address: str | Address, policy: Backoff = Backoff(), *, timeout: float = CONNECT_SECONDS
    ) -> None:
        self.address = Address.parse(str(address))
        self.policy = policy
        self._timeout = timeout
        self._current: Connection | None = None
        self._attempt = asyncio.Lock()

    async def connection(self) -> Connection:
        """The current connection, or a new one. Raises the error of the last attempt."""
        async with self._attempt:
            if self._current is None or not self._current.is_open:
                self._current = await self._try_to_connect()
            return self._current

    async def _try_to_connect(self) -> Connection:
        for pause in self.policy.pauses():
            try:
                return await connect(self.address, timeout=self._timeout)
            except Unreachable:
                await asyncio.sleep(pause)
        return await connect(self.address, timeout=self._timeout)

    async def close(self) -> None:
        if self._current is not None:
            await self._current.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
