"""Messages through the C library: over every address, and over shared memory in place."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import native
from .address import Address
from .errors import AddressError, Deadline

TIERS = {"copy": 0, "sealed": 1, "trusted": 2}
"""`enum shipmate_tier`"""

_LOAN_BYTES_MIN = 32 << 10
"""Less is copied in any case."""

_LOOK_MILLIS = 50
"""How often a thread that waits looks whether somebody still wants what it waits for."""

_WORD_BYTES = 8

Segments = Sequence[bytes | memoryview]


class _Worker:
    """A thread for the calls on one object that block. They take turns there, and the loop goes on."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "shipmate")
        self._late: asyncio.Future[Any] | None = None
        self._closed = False

    async def run(self, work: Callable[[], Any]) -> Any:
        """What is under way when the caller is cancelled is done all the same."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    async def wait(self, look: Callable[[int], Any]) -> Any:
        """Waits by `look`, which takes a timeout in ms and raises `Deadline`. Cancelling it loses nothing."""
        if self._late is None:
            try:
                return look(0)
            except Deadline:
                pass
        stop = threading.Event()
        waiting, self._late = self._late, None
        while True:
            if waiting is None:
                run = asyncio.get_running_loop().run_in_executor
                waiting = asyncio.ensure_future(run(self._thread, _look_until, look, stop))
            try:
                return await asyncio.shield(waiting)
            except asyncio.CancelledError:
                stop.set()
                self._late = waiting
                raise
            except Deadline:
                # Of a wait that was given up.
                waiting = None

    async def close(self, work: Callable[[], Any]) -> None:
        """Ends with this, once."""
        if self._closed:
            return
        self._closed = True
        if (late := self._late) is not None:
            self._late = None
            await asyncio.wait([late])
            late.exception()
        try:
            await self.run(work)
        finally:
            self._thread.shutdown(wait=False)


def _look_until(look: Callable[[int], Any], stop: threading.Event) -> Any:
    while True:
        try:
            return look(_LOOK_MILLIS)
        except Deadline:
            if stop.is_set():
                raise


class LibrarySender:
    """The writing side of `shipmate.Sender`."""

    def __init__(self, address: Address, timeout: float, tier: str) -> None:
        self._library = native.library()
        self._worker = _Worker()
        self._handle = ctypes.c_void_p()
        self._address = os.fsencode(str(address))
        self._options = native.options(timeout, _tier(tier, address))
        self._sending = asyncio.Lock()

    async def open(self) -> None:
        await self._worker.run(
            lambda: native.call(
                self._library.shipmate_sender_open,
                self._address,
                ctypes.byref(self._options),
                ctypes.byref(self._handle),
            )
        )

    async def send(self, struct: Any, message: Any, fields: dict[str, Any]) -> None:
        async with self._sending:
            if message is None and (size := _size_of(fields)) >= _LOAN_BYTES_MIN:
                return await self._send_built(struct, fields, size)
            if message is None:
                message = struct.new_message(**fields)
            return await self._send_copied(message.to_segments())

    async def _send_built(self, struct: Any, fields: dict[str, Any], size: int) -> None:
        """Builds in memory of the library, which over shared memory the receiver sees."""
        loan, memory = ctypes.c_void_p(), ctypes.c_void_p()
        native.call(self._library.shipmate_sender_loan, self._handle, size, ctypes.byref(loan), ctypes.byref(memory))
        outgrown: list[bytearray] = []
        lent = (ctypes.c_ubyte * size).from_address(memory.value or 0)

        def allocate(words: int) -> Any:
            if not allocated and words * _WORD_BYTES <= size:
                allocated.append(lent)
                return lent
            outgrown.append(bytearray(max(words * _WORD_BYTES, size)))
            return outgrown[-1]

        allocated: list[Any] = []
        try:
            message = struct.new_message(None, allocate, **fields)
            segments = message.to_segments() if outgrown or not allocated else None
            message.clear_write_flag()
            # Nobody else has it, so nothing points into the loan any more.
            del message
        except BaseException:
            self._library.shipmate_loan_cancel(loan)
            raise
        if segments is None:
            # All of it: what was not needed is zero.
            await self._worker.run(lambda: native.call(self._library.shipmate_loan_publish, loan, size))
        else:
            self._library.shipmate_loan_cancel(loan)
            await self._send_copied(segments)

    async def _send_copied(self, segments: Sequence[bytes]) -> None:
        given = (native.Segment * len(segments))()
        # bytes start at a multiple of 8, and more: they are objects of CPython.
        kept = [ctypes.create_string_buffer(segment, len(segment)) for segment in segments]
        for place, segment in zip(given, kept, strict=True):
            place.data, place.size = ctypes.addressof(segment), len(segment)

        def send() -> None:
            native.call(self._library.shipmate_sender_send, self._handle, given, len(kept))

        await self._worker.run(send)

    async def close(self) -> None:
        handle, self._handle = self._handle, ctypes.c_void_p()
        await self._worker.close(lambda: native.call(self._library.shipmate_sender_close, handle))


class LibraryListener:
    """Where `shipmate.Listener` gets its senders from."""

    def __init__(self, address: Address, tier: str) -> None:
        self._library = native.library()
        self._worker = _Worker()
        self._handle = ctypes.c_void_p()
        options = native.options(None, _tier(tier, address))
        native.call(
            self._library.shipmate_receiver_listen,
            os.fsencode(str(address)),
            ctypes.byref(options),
            ctypes.byref(self._handle),
        )

    async def accept(self) -> LibraryFrames:
        return LibraryFrames(self._library, await self._worker.wait(self._accept))

    def _accept(self, timeout: int) -> ctypes.c_void_p:
        receiver = ctypes.c_void_p()
        native.call(self._library.shipmate_receiver_accept, self._handle, timeout, ctypes.byref(receiver))
        return receiver

    async def close(self) -> None:
        handle, self._handle = self._handle, ctypes.c_void_p()
        await self._worker.close(lambda: self._library.shipmate_listener_close(handle))


class LibraryFrames:
    """Messages of one sender, as `shipmate.Receiver` takes them."""

    def __init__(self, library: ctypes.CDLL, receiver: ctypes.c_void_p) -> None:
        self._library = library
        self._worker = _Worker()
        self._handle = receiver

    async def next(self) -> Sequence[memoryview] | None:
        segments: Sequence[memoryview] | None = await self._worker.wait(self._receive)
        return segments

    def _receive(self, timeout: int) -> Sequence[memoryview] | None:
        message = ctypes.POINTER(native.Message)()
        if native.call(self._library.shipmate_receiver_receive, self._handle, timeout, ctypes.byref(message)) == 0:
            return None
        return _views(self._library, message)

    async def close(self) -> None:
        handle, self._handle = self._handle, ctypes.c_void_p()
        await self._worker.close(lambda: self._library.shipmate_receiver_close(handle))


class _Lease:
    """Memory of the library, for as long as there is a view of it."""


def _views(library: ctypes.CDLL, message: Any) -> Sequence[memoryview]:
    lease = _Lease()
    back = weakref.finalize(lease, library.shipmate_message_return, message)
    # At the end of the process all goes back, and something may still read.
    back.atexit = False
    return [_view(segment, lease) for segment in message.contents.segments[: message.contents.segment_count]]


def _view(segment: Any, lease: _Lease) -> memoryview:
    if segment.size == 0:
        return memoryview(b"")
    array = (ctypes.c_ubyte * segment.size).from_address(segment.data)
    # A view keeps the array, and that the lease.
    array.lease = lease
    return memoryview(array).cast("B").toreadonly()


def _tier(tier: str, address: Address) -> int:
    if tier not in TIERS:
        raise AddressError(f"{address}: the tier {tier!r} is none of {', '.join(TIERS)}")
    return TIERS[tier]


def _size_of(fields: Any) -> int:
    """What a message of these takes, in whole words and not too few of them."""
    return (_count(fields) + 1024) // _WORD_BYTES * _WORD_BYTES


def _count(value: Any) -> int:
    match value:
        case dict():
            return 64 + sum(_count(each) for each in value.values())
        case list() | tuple():
            return 16 + sum(_count(each) for each in value)
        case str():
            return 4 * len(value) + 16
        case bytes() | bytearray() | memoryview():
            return len(value) + 16
        case _:
            return 16
