"""Takes the steps, and prints a line for each."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import shipmate

from . import capabilities, evolution, failures, sizes, streams, values
from .check import schema
from .restart import restart

STEPS: dict[str, Callable[[Any], Awaitable[None]]] = {
    "primitives": values.primitives,
    "text": values.text,
    "data": values.data,
    "lists": values.lists,
    "unions": values.unions,
    "defaults": values.defaults,
    "future-enum": evolution.future_enum,
    "evolution": evolution.evolution,
    "multi-segment": sizes.multi_segment,
    "large": sizes.large,
    "capability": capabilities.capability,
    "identity": capabilities.identity,
    "callback": capabilities.callback,
    "reentrant": capabilities.reentrant,
    "pipelining": capabilities.pipelining,
    "out-of-order": capabilities.out_of_order,
    "stream-up": streams.up,
    "stream-down": streams.down,
    "cancel": failures.cancel,
    "typed-error": failures.typed_error,
    "error-kinds": failures.error_kinds,
    "deadline": failures.deadline,
    "many": failures.many,
}

STEP_SECONDS_MAX = 60
"""The longest that a step may take: a limit for hanging, not for being slow."""


async def main(address: shipmate.Address, with_restart: bool) -> bool:
    """Whether no step failed."""
    async with shipmate.connect(address) as connection:
        server = connection.bootstrap(schema.Conformance)
        passed = [await _report(name, step(server)) for name, step in STEPS.items()]
    if with_restart:
        passed.append(await _report("restart", restart(address)))
    return all(passed)


async def _report(name: str, step: Awaitable[None]) -> bool:
    """Takes a step and says how it went."""
    try:
        async with asyncio.timeout(STEP_SECONDS_MAX) as allowed:
            await step
        line = f"ok {name}"
    except Exception as wrong:
        what = f"not done within {STEP_SECONDS_MAX} s" if allowed.expired() else str(wrong) or repr(wrong)
        line = f"FAILED {name}: {' '.join(what.split())}"
    print(line, flush=True)
    return not line.startswith("FAILED")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="conformance", description="Try everything that a client must be able to do.")
    parser.add_argument("address", help="where the service `conformance` listens")
    parser.add_argument("--restart", action="store_true", help="say `restart now` in the end, and wait for a line")
    options = parser.parse_args()
    try:
        sys.exit(0 if asyncio.run(main(shipmate.Address.parse(options.address), options.restart)) else 1)
    except (shipmate.AddressError, shipmate.Unreachable) as error:
        print(f"conformance: {error}", file=sys.stderr)
        sys.exit(2)
