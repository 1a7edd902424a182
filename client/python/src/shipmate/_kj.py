"""KJ's event loop, which pycapnp runs inside that of asyncio."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import AbstractAsyncContextManager

import capnp

_running: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AbstractAsyncContextManager[None]]
_running = weakref.WeakKeyDictionary()


async def ensure_running() -> None:
    """Starts KJ's event loop with the first connection, unless the program did (`capnp.kj_loop`).

    `capnp.kj_loop` is an asynchronous generator, which `asyncio.run` closes in the end, when the program's own
    objects are gone. So it only has to be kept until then.
    """
    loop = asyncio.get_running_loop()
    if not hasattr(loop, "_kj_loop"):
        running = capnp.kj_loop()
        await running.__aenter__()
        _running[loop] = running
