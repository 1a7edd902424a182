"""Values of every type, which come back as they were sent."""

from __future__ import annotations

import math
from typing import Any

from .check import Wrong, equal, same

BETWEEN = {
    "void": None,
    "bool": True,
    "int8": -12,
    "int16": -1234,
    "int32": -123_456_789,
    "int64": -1_234_567_890_123_456_789,
    "uint8": 200,
    "uint16": 54_321,
    "uint32": 4_000_000_000,
    "uint64": 12_345_678_901_234_567_890,
    "float32": 1.5,
    "float64": -1.25e-300,
}

LEAST = {
    "void": None,
    "bool": False,
    "int8": -(1 << 7),
    "int16": -(1 << 15),
    "int32": -(1 << 31),
    "int64": -(1 << 63),
    "uint8": 0,
    "uint16": 0,
    "uint32": 0,
    "uint64": 0,
    "float32": -math.inf,
    "float64": -math.inf,
}

GREATEST = {
    "void": None,
    "bool": True,
    "int8": (1 << 7) - 1,
    "int16": (1 << 15) - 1,
    "int32": (1 << 31) - 1,
    "int64": (1 << 63) - 1,
    "uint8": (1 << 8) - 1,
    "uint16": (1 << 16) - 1,
    "uint32": (1 << 32) - 1,
    "uint64": (1 << 64) - 1,
    "float32": math.inf,
    "float64": math.inf,
}


async def primitives(server: Any) -> None:
    equal("values in between", await _echo(server, BETWEEN), BETWEEN)

    extremes = await server.extremes()
    for what, value, expected in (("the least", extremes.least, LEAST), ("the greatest", extremes.greatest, GREATEST)):
        equal(what, value.to_dict(verbose=True), expected)
        equal(f"{what}, echoed", await _echo(server, expected), expected)

    echoed = await _echo(server, BETWEEN | {"float32": math.nan, "float64": math.nan})
    for name in ("float32", "float64"):
        if not math.isnan(echoed[name]):
            raise Wrong(f"{name}: expected NaN and saw {echoed[name]!r}")


async def _echo(server: Any, value: dict[str, Any]) -> dict[str, Any]:
    echoed = (await server.primitives(value=value)).value.to_dict(verbose=True)
    return dict(echoed)


async def text(server: Any) -> None:
    every_plane = "".join(chr((plane << 16) + 0x1041) for plane in range(17))
    for value in (
        "",
        "Ahoy!",
        "naïve, Ωμέγα, 船, 🚢",
        every_plane,
        "before\0after",
        "x" * 1000,
        "船" * 33_333,
        "x" * 100_000,
    ):
        echoed = await server.text(value=value)
        same("a text", echoed.value, value)
        equal("its bytes", echoed.bytes, len(value.encode()))


async def data(server: Any) -> None:
    for value in (b"", bytes(range(256)), bytes((n * 7 + 3) % 256 for n in range(100_000))):
        echoed = await server.data(value=value)
        same("the data", echoed.value, value)
        equal("their sum", echoed.sum, sum(value))


async def lists(server: Any) -> None:
    empty: dict[str, list[Any]] = {
        "bools": [],
        "bytes": [],
        "longs": [],
        "texts": [],
        "grid": [],
        "points": [],
        "colours": [],
    }
    full = {
        "bools": [True, False, True, True, False, False, True, False, True],
        "bytes": [0, 1, 127, 128, 255],
        "longs": [-(1 << 63), -1, 0, 1, (1 << 63) - 1],
        "texts": ["", "one", "zwei", "三"],
        "grid": [[1], [], [2, -3, (1 << 31) - 1], [-(1 << 31), 5]],
        "points": [{"x": 1, "y": 2}, {"x": -3, "y": 4}, {"x": -(1 << 31), "y": (1 << 31) - 1}],
        "colours": ["blue", "red", "green", "blue"],
    }
    for value in (empty, full):
        echoed = (await server.lists(value=value)).value
        equal("the lists", echoed.to_dict(verbose=True), value)


async def unions(server: Any) -> None:
    """Each arm of a union, beside a group that has nothing to do with it."""
    border = {"width": 7, "colour": "green"}
    for arm, value in (
        ("circle", 2.5),
        ("rectangle", {"width": 3.0, "height": 0.25}),
        ("polygon", [{"x": 0, "y": 0}, {"x": 7, "y": 0}, {"x": 0, "y": -7}]),
        ("nothing", None),
    ):
        shape = {"name": f"a {arm}", arm: value, "border": border}
        echoed = (await server.shape(value=shape)).value
        equal("the arm", str(echoed.which()), arm)
        equal("the shape", echoed.to_dict(verbose=True), shape)


async def defaults(server: Any) -> None:
    value = (await server.defaults()).value
    expected = {
        "flag": True,
        "number": -123,
        "ratio": 0.5,
        "word": "shipmate",
        "bytes": b"\1\2\3",
        "colour": "blue",
        "primes": [2, 3, 5, 7],
        "point": {"x": 3, "y": -4},
    }
    equal("what was not set", value.to_dict(verbose=True), expected)
