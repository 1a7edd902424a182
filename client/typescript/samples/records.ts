/**
 * Messages, one way, to and from the command `shipmate`:
 *
 *     node dist/samples/records.js recv ADDRESS    and    shipmate send ADDRESS
 *     node dist/samples/records.js send ADDRESS    and    shipmate recv ADDRESS
 */

import { MessageListener, Sender } from "shipmate";
import { Record } from "./schema/record.js";

async function receive(address: string): Promise<void> {
  using listener = await MessageListener.bind(address);
  console.error(`listening at ${listener.address}`);
  for await (const { name, value, tags, readings, body } of await listener.accept(Record)) {
    const text = body._isText ? ` (${body.text})` : "";
    console.log(`${name} = ${value}${text}; tags: ${tags.join(", ")}; readings: ${readings.length}`);
  }
}

async function send(address: string): Promise<void> {
  await using sender = await Sender.connect(address, Record);
  for (let hour = 0n; hour < 3n; hour++) {
    await sender.send({
      name: "buoy 7",
      value: hour,
      tags: ["sea", "north"],
      position: { latitude: 54.5, longitude: 9.9 },
      readings: [{ sensor: "wind", timeMillis: 1_700_000_000_000n + hour * 3_600_000n, values: [7.5, 8.25] }],
      body: { text: "calm" },
    });
  }
}

const [what, address = "unix:/tmp/records.sock"] = process.argv.slice(2);
if (what === "recv") await receive(address);
else if (what === "send") await send(address);
else console.error("say `recv` or `send`, and an address");
