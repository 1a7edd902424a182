"""Schemas that grow: programs of different age understand each other."""

from __future__ import annotations

from typing import Any

from .check import equal, schema


async def future_enum(server: Any) -> None:
    equal("number 1", await _paint(server, 1), "green")
    colour = await _paint(server, 999)
    equal("number 999", colour.raw, 999)


async def _paint(server: Any, colour: int) -> Any:
    return (await server.paint(colour=colour)).painted.as_struct(schema.Painted).colour


async def evolution(server: Any) -> None:
    # Through a program that knows less than we do, nothing is lost.
    sent = {"name": "keel", "value": -5, "unit": "fathom", "weight": 2.25, "tags": ["oak"]}
    older = await server.asOlder(record=schema.NewerRecord.new_message(**sent))
    equal("the name, read as an older record", older.name, "keel")
    equal("the newer record", older.record.as_struct(schema.NewerRecord).to_dict(verbose=True), sent)

    # From a program that knows less than the server, what is missing has its default.
    newer = await server.asNewer(record=schema.OlderRecord.new_message(name="mast", value=7))
    expected = {"name": "mast", "value": 7, "unit": "metre", "weight": 1.5, "tags": []}
    equal("the older record", newer.record.to_dict(verbose=True), expected)
