"""`stream`: calls of a method that is a stream, held back by what the receiver has handled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

WINDOW_BYTES = 256 << 10
"""How much may be under way: what `shipmated` uses too."""


@asynccontextmanager
async def stream(request: Callable[..., Any], *, window_bytes: int = WINDOW_BYTES) -> AsyncIterator[Stream]:
    """A stream of calls of a method, given as `sink.write_request`:

        async with stream(sink.write_request) as write:
            for chunk in chunks:
                await write(chunk=chunk)

    pycapnp treats a method that returns a `stream` as any other: awaiting each call would wait for a round trip,
    and not awaiting them would fill the memory. Here a call waits only while the window is full. The block ends
    when every call was answered; the error of one is raised by the next, or by the end.
    """
    calls = Stream(request, window_bytes)
    try:
        yield calls
        await calls.flush()
    finally:
        calls.cancel()


class Stream:
    """Made by `stream`."""

    def __init__(self, request: Callable[..., Any], window_bytes: int) -> None:
        self._request = request
        self._window_bytes = window_bytes
        self._bytes = 0
        self._calls: set[asyncio.Future[None]] = set()
        self._answered = asyncio.Event()
        self._error: BaseException | None = None

    async def __call__(self, *values: Any, **fields: Any) -> None:
        """Sends a call. Waits for room in the window, and not for the answer."""
        request = self._request(*values, **fields)
        size = 8 * request.total_size.word_count
        while self._bytes and self._bytes + size > self._window_bytes and self._error is None:
            await self._next_answer()
        self._raise_error()
        self._bytes += size
        call = asyncio.ensure_future(_answer(request.send()))
        self._calls.add(call)
        call.add_done_callback(lambda call: self._on_answer(call, size))

    async def flush(self) -> None:
        """Waits until every call was answered."""
        while self._calls and self._error is None:
            await self._next_answer()
        self._raise_error()

    def cancel(self) -> None:
        """Gives up the calls that were not answered."""
        for call in self._calls:
            call.cancel()

    async def _next_answer(self) -> None:
        self._answered.clear()
        await self._answered.wait()

    def _on_answer(self, call: asyncio.Future[None], size: int) -> None:
        self._calls.discard(call)
        self._bytes -= size
        if not call.cancelled():
            self._error = self._error or call.exception()
        self._answered.set()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


async def _answer(promise: Any) -> None:
    await promise
