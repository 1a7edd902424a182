/** Schemas that grow: programs of different age understand each other. */

import { build, structAt } from "shipmate";
import { Colour, type Conformance, NewerRecord, OlderRecord, Painted } from "../samples/schema/conformance.js";
import { is } from "./expect.js";

export async function futureEnum(server: Conformance): Promise<void> {
  const paint = async (colour: number): Promise<number> =>
    structAt((await server.paint({ colour })).painted, Painted).colour;
  is("number 1", await paint(1), Colour.GREEN);
  is("number 999", await paint(999), 999);
}

export async function evolution(server: Conformance): Promise<void> {
  // Through a program that knows less than we do, nothing is lost.
  const sent = { name: "keel", value: -5n, unit: "fathom", weight: 2.25, tags: ["oak"] };
  const older = await server.asOlder({ record: build(NewerRecord, sent) });
  is("the name, read as an older record", older.name, sent.name);
  is("the newer record", read(structAt(older.record, NewerRecord)), sent);

  // From a program that knows less than the server, what is missing has its default.
  const newer = await server.asNewer({ record: build(OlderRecord, { name: "mast", value: 7n }) });
  const expected = { name: "mast", value: 7n, unit: "metre", weight: 1.5, tags: [] };
  is("the older record", read(newer.record), expected);
}

function read({ name, value, unit, weight, tags }: NewerRecord) {
  return { name, value, unit, weight, tags: [...tags] };
}
