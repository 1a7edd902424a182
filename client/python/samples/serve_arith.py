"""A server: `Arith` in Python, for clients in any language.

python -m samples.serve_arith unix:/tmp/arith.sock &
shipmate arith divide 22 7 --at unix:/tmp/arith.sock
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import shipmate

arith: Any = shipmate.load("arith.capnp")


class Arith(arith.Arith.Server):
    """Of each method the arguments come by name, and `_context.results` is what it gives."""

    async def multiply(self, a: int, b: int, _context: Any, **_: Any) -> None:
        product = _context.results.product
        if fits(a * b):
            product.value = a * b
        else:
            product.error = "overflow"

    async def divide(self, a: int, b: int, _context: Any, **_: Any) -> None:
        division = _context.results.division
        if b == 0:
            division.error = "divideByZero"
            return
        # Rounded toward zero, where Python's `//` rounds down.
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        if fits(quotient):
            division.init("value")
            division.value.quotient = quotient
            division.value.remainder = a - quotient * b
        else:
            division.error = "overflow"


def fits(number: int) -> bool:
    """Whether an Int64 can hold it."""
    return -(1 << 63) <= number < 1 << 63


async def main(address: str) -> None:
    async with shipmate.serve(address, Arith) as server:
        print(f"ready at {server.address}", flush=True)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
