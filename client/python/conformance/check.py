"""How a step says what it expected and what it saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import shipmate

schema = shipmate.load("conformance.capnp")


class Wrong(Exception):
    """What was expected and what was seen."""


def equal(what: str, seen: object, expected: object) -> None:
    if seen != expected:
        raise Wrong(f"{what}: expected {expected!r} and saw {seen!r}")


def same(what: str, seen: Sequence[Any], expected: Sequence[Any]) -> None:
    """`equal`, for values that are too long to be shown."""
    equal(f"the length of {what}", len(seen), len(expected))
    if seen != expected:
        index = next(index for index in range(len(seen)) if seen[index] != expected[index])
        equal(f"element {index} of {what}", seen[index], expected[index])
