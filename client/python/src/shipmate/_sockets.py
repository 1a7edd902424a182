"""Connected and listening sockets, from addresses."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator

from . import native
from .address import Address
from .errors import AddressError, Unreachable


async def connect(address: Address, timeout: float) -> socket.socket:
    """A connected stream socket, which does not block. Raises `Unreachable`."""
    if address.transport not in ("tcp", "unix"):
        return await native.connect(address, timeout)
    try:
        async with asyncio.timeout(timeout):
            if address.transport == "tcp":
                return await _connect_tcp(address)
            return await _connect_unix(address)
    except TimeoutError:
        raise Unreachable(f"nobody answers at {address}: no connection within {timeout:g} s") from None
    except OSError as error:
        raise Unreachable(f"nobody answers at {address}: {error.strerror or error}") from error


async def _connect_tcp(address: Address) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(address.place, address.port, type=socket.SOCK_STREAM)
    refused: OSError | None = None
    for family, _, _, _, place in found:
        try:
            connecting = socket.socket(family, socket.SOCK_STREAM)
            with _closed_on_error(connecting):
                await asyncio.get_running_loop().sock_connect(connecting, place)
                connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connecting
        except OSError as error:
            refused = error
    raise refused or OSError(errno.EADDRNOTAVAIL, "the name has no address")


async def _connect_unix(address: Address) -> socket.socket:
    connecting = socket.socket(socket.AF_UNIX)
    with _closed_on_error(connecting):
        while True:
            try:
                connecting.connect(_unix_name(address))
                return connecting
            except BlockingIOError:
                # The server's backlog is full. No event says when it is not, and asyncio takes this for success.
                await asyncio.sleep(0.01)


@contextlib.contextmanager
def _closed_on_error(sock: socket.socket) -> Iterator[None]:
    sock.setblocking(False)
    try:
        yield
    except BaseException:
        sock.close()
        raise


def listen(address: Address) -> tuple[socket.socket, Address]:
    """A listening socket, and the address with the port that it got."""
    if address.transport == "tcp":
        family = socket.AF_INET6 if ":" in address.place else socket.AF_INET
        listening = socket.create_server((address.place, address.port), family=family, backlog=128)
        address = Address("tcp", address.place, listening.getsockname()[1])
    elif address.transport == "unix":
        listening = socket.socket(socket.AF_UNIX)
        with _closed_on_error(listening):
            _remove_stale(address)
            listening.bind(_unix_name(address))
            listening.listen(128)
    else:
        raise AddressError(f"{address}: a program in Python listens at tcp: and unix: addresses only")
    listening.setblocking(False)
    return listening, address


def stop_listening(listening: socket.socket, address: Address) -> None:
    listening.close()
    if address.transport == "unix" and not address.place.startswith("@"):
        with contextlib.suppress(OSError):
            os.unlink(address.place)


def _unix_name(address: Address) -> str:
    return "\0" + address.place[1:] if address.place.startswith("@") else address.place


def _remove_stale(address: Address) -> None:
    """Removes the file of a socket whose server is dead, and nothing else."""
    with contextlib.suppress(FileNotFoundError):
        if not address.place.startswith("@") and stat.S_ISSOCK(os.lstat(address.place).st_mode):
            with socket.socket(socket.AF_UNIX) as trial:
                if trial.connect_ex(address.place) == errno.ECONNREFUSED:
                    os.unlink(address.place)
