"""Arithmetic: a call, and a result that says what can go wrong.

shipmated --listen unix:/tmp/ship.sock=arith &
python -m samples.arith unix:/tmp/ship.sock
"""

from __future__ import annotations

import asyncio
import sys

import shipmate

arith = shipmate.load("arith.capnp")


async def main(address: str) -> None:
    async with shipmate.connect(address) as connection:
        service = connection.bootstrap(arith.Arith)
        for a, b in ((22, 7), (1, 0)):
            async with shipmate.deadline(5):
                division = (await service.divide(a=a, b=b)).division
            match str(division.which()):
                case "value":
                    print(f"{a} / {b} = {division.value.quotient} remainder {division.value.remainder}")
                case "error":
                    print(f"{a} / {b}: {division.error}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
