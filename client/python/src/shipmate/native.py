"""The transports that come from the C library `libshipmate`: `pipe:`, `shm:` and `auto:`.

The library gives a connected Unix socket, and a thread of its own carries what goes through it. It is found
by `$SHIPMATE_LIBRARY`, the path of the file, or else by the system's loader.
"""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import functools
import os
import socket

from .address import Address
from .errors import AddressError, Disconnected, Error, Unreachable

_CODES: dict[int, type[Error]] = {1: AddressError, 2: Unreachable, 4: Disconnected}
"""Those of `enum shipmate_error_code` that have a type of their own here."""


async def connect(address: Address, timeout: float) -> socket.socket:
    """A connected socket whose far end is carried over the address's transport."""
    connecting = asyncio.ensure_future(asyncio.to_thread(_connect, library(), str(address), timeout))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        # The thread goes on, and nobody waits for its socket any more.
        connecting.add_done_callback(_close)
        raise


def _close(connecting: asyncio.Future[socket.socket]) -> None:
    if connecting.exception() is None:
        connecting.result().close()


@functools.cache
def library() -> ctypes.CDLL:
    """The library. Raises `Unreachable` where there is none."""
    name = os.environ.get("SHIPMATE_LIBRARY") or ctypes.util.find_library("shipmate")
    if name is None:
        raise Unreachable(
            "pipe:, shm: and auto: addresses need the C library libshipmate, which was not found: build it in"
            " Shipmate's repository by `cargo build --release -p shipmate-ffi`, and let SHIPMATE_LIBRARY be the path"
            " of target/release/libshipmate.so"
        )
    try:
        found = ctypes.CDLL(name)
    except OSError as error:
        raise Unreachable(f"libshipmate cannot be loaded: {error}") from error
    found.shipmate_connect.argtypes = (ctypes.c_char_p, ctypes.POINTER(_Options), ctypes.POINTER(_Error))
    return found


def _connect(library: ctypes.CDLL, address: str, timeout: float) -> socket.socket:
    options = _Options(size=ctypes.sizeof(_Options), connect_timeout_ms=max(1, round(timeout * 1000)))
    error = _Error()
    descriptor = library.shipmate_connect(os.fsencode(address), ctypes.byref(options), ctypes.byref(error))
    if descriptor < 0:
        raise _CODES.get(error.code, Error)(error.message.decode(errors="replace"))
    return socket.socket(fileno=descriptor)


class _Options(ctypes.Structure):
    """`struct shipmate_options`"""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("connect_timeout_ms", ctypes.c_uint32),
        ("spin_us", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


class _Error(ctypes.Structure):
    """`struct shipmate_error`"""

    _fields_ = (("code", ctypes.c_int), ("os_error", ctypes.c_int), ("message", ctypes.c_char * 504))
