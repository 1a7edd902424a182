"""The transports that come from the C library `libshipmate`: `pipe:`, `shm:` and `auto:`.

For calls the library gives a connected Unix socket, and a thread of its own carries what goes through it; its
messages are in `_library`. It is found
by `$SHIPMATE_LIBRARY`, the path of the file, or else by the system's loader.
"""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import functools
import os
import socket
from typing import Any

from .address import Address
from .errors import AddressError, Deadline, Disconnected, Error, ProtocolError, Unreachable

_CODES: dict[int, type[Error]] = {
    1: AddressError,
    2: Unreachable,
    3: AddressError,
    4: Disconnected,
    5: ProtocolError,
    6: ProtocolError,
    7: Deadline,
}
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
    pointer, size, out = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
    for name, arguments in {
        "connect": (ctypes.c_char_p, out),
        "sender_open": (ctypes.c_char_p, out, out),
        "sender_send": (pointer, ctypes.POINTER(Segment), size),
        "sender_loan": (pointer, size, out, out),
        "loan_publish": (pointer, size),
        "sender_close": (pointer,),
        "receiver_listen": (ctypes.c_char_p, out, out),
        "receiver_accept": (pointer, ctypes.c_int, out),
        "receiver_receive": (pointer, ctypes.c_int, out),
    }.items():
        getattr(found, f"shipmate_{name}").argtypes = (*arguments, out)
    for name in ("loan_cancel", "listener_close", "receiver_close", "message_return"):
        function = getattr(found, f"shipmate_{name}")
        function.argtypes, function.restype = (pointer,), None
    found.shipmate_listener_address.argtypes = (pointer,)
    found.shipmate_listener_address.restype = ctypes.c_char_p
    return found


def call(function: Any, *arguments: Any) -> int:
    """Calls a function of the library that can fail; what it returns. Raises one of our errors."""
    error = _Error()
    result: int = function(*arguments, ctypes.byref(error))
    if result < 0:
        raise _CODES.get(error.code, Error)(error.message.decode(errors="replace"))
    return result


def options(timeout: float | None, tier: int = 0) -> _Options:
    millis = 0 if timeout is None else max(1, round(timeout * 1000))
    return _Options(size=ctypes.sizeof(_Options), connect_timeout_ms=millis, tier=tier)


def _connect(library: ctypes.CDLL, address: str, timeout: float) -> socket.socket:
    given = options(timeout)
    return socket.socket(fileno=call(library.shipmate_connect, os.fsencode(address), ctypes.byref(given)))


class Segment(ctypes.Structure):
    """`struct shipmate_segment`"""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


class Message(ctypes.Structure):
    """`struct shipmate_message`"""

    _fields_ = (("segment_count", ctypes.c_size_t), ("segments", ctypes.POINTER(Segment)))


class _Options(ctypes.Structure):
    """`struct shipmate_options`"""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("connect_timeout_ms", ctypes.c_uint32),
        ("spin_us", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("tier", ctypes.c_uint32),
    )


class _Error(ctypes.Structure):
    """`struct shipmate_error`"""

    _fields_ = (("code", ctypes.c_int), ("os_error", ctypes.c_int), ("message", ctypes.c_char * 504))
