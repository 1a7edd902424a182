"""Shipmate: inter-process communication, typed by Cap'n Proto schemas.

A first program:

    import asyncio
    import shipmate

    arith = shipmate.load("arith.capnp")

    async def main() -> None:
        async with shipmate.connect("unix:/tmp/ship.sock") as connection:
            service = connection.bootstrap(arith.Arith)
            print((await service.multiply(a=6, b=7)).product.value)

    asyncio.run(main())
"""

from ._view import view
from .address import Address
from .client import NEVER, Backoff, Connection, Connector, connect, deadline
from .errors import (
    AddressError,
    Deadline,
    Disconnected,
    Error,
    ErrorKind,
    ProtocolError,
    SchemaError,
    ServiceError,
    Unreachable,
)
from .messages import Listener, Message, Receiver, Sender, receive_at, send_to
from .schema import load
from .server import Server, serve
from .streaming import Stream, stream

__all__ = [
    "NEVER",
    "Address",
    "AddressError",
    "Backoff",
    "Connection",
    "Connector",
    "Deadline",
    "Disconnected",
    "Error",
    "ErrorKind",
    "Listener",
    "Message",
    "ProtocolError",
    "Receiver",
    "SchemaError",
    "Sender",
    "Server",
    "ServiceError",
    "Stream",
    "Unreachable",
    "connect",
    "deadline",
    "load",
    "receive_at",
    "send_to",
    "serve",
    "stream",
    "view",
]
