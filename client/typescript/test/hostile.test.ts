/** Peers that misbehave: the connection ends with a clear error, and never with a hang or a crash. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { Message } from "capnp-es/capnp/rpc";
import { Connection, connect, Disconnected, MessageListener, Sender, serve } from "shipmate";
import { Conformance, type Conformance$Server } from "../samples/schema/conformance.js";
import { Record } from "../samples/schema/record.js";
import { encodeFrame } from "../src/frame.js";
import { MessageBuilder } from "../src/serial.js";
import { errorOf, folder, streamPair } from "./harness.js";

const TIMEOUT = { timeout: 60_000 };

/** A server that says these bytes to whoever connects, and then ends if it is told to. */
async function peer(t: TestContext, says: Uint8Array, ends: boolean): Promise<string> {
  const server: Server = createServer((socket: Socket) => {
    socket.on("error", () => {});
    // When the client has asked.
    socket.once("data", () => (ends ? socket.end(says) : socket.write(says)));
  });
  const path = `${folder(t)}/peer`;
  server.listen(path);
  await once(server, "listening");
  t.after(() => server.close());
  return `unix:${path}`;
}

function frame(fill: (message: Message) => unknown): Uint8Array {
  const builder = new MessageBuilder();
  fill(builder.initRoot(Message));
  return Buffer.concat(encodeFrame(builder));
}

const GOOD = frame((message) => {
  message._initReturn().answerId = 0;
});

const LIES: [string, Uint8Array, RegExp][] = [
  ["text", new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"), /segments, and at most/],
  ["a frame that is too large", new Uint8Array([0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f]), /bytes, and at most/],
  ["a frame without segments' contents", new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0]), /cannot be understood/],
  [
    "a pointer to nowhere",
    new Uint8Array([0, 0, 0, 0, 1, 0, 0, 0, 0xfc, 0xff, 0, 0, 1, 0, 1, 0]),
    /broke the protocol/,
  ],
  ["a return for no question", frame((m) => Object.assign(m._initReturn(), { answerId: 77 })), /question 77/],
  ["a finish for no question", frame((m) => Object.assign(m._initFinish(), { questionId: 5 })), /question 5/],
  [
    "a release of nothing",
    frame((m) => Object.assign(m._initRelease(), { id: 3, referenceCount: 1 })),
    /export 3 is (none|released)/,
  ],
  ["a call of nothing", frame((m) => Object.assign(m._initCall()._initTarget(), { importedCap: 9 })), /export 9/],
  [
    "a call in no answer",
    frame((m) => Object.assign(m._initCall()._initTarget()._initPromisedAnswer(), { questionId: 9 })),
    /question 9/,
  ],
  [
    "a disembargo of nothing",
    frame((m) => Object.assign(m._initDisembargo()._initContext(), { receiverLoopback: 1 })),
    /disembargo/,
  ],
  ["an abort", frame((m) => Object.assign(m._initAbort(), { reason: "I have had enough" })), /I have had enough/],
];

for (const [what, bytes, expected] of LIES) {
  test(`a peer that sends ${what}`, TIMEOUT, async (t) => {
    await using connection = await connect(await peer(t, bytes, false));
    const call = connection.bootstrap(Conformance).hang();
    const error = await errorOf(call);
    assert.ok(error instanceof Disconnected, String(error));
    assert.match(error.reason, expected);
    assert.equal(connection.error?.reason, error.reason);
  });
}

test("a peer that closes in the middle of a message, or after one", TIMEOUT, async (t) => {
  for (const length of [0, 3, 4, 9, GOOD.length - 1]) {
    await using connection = await connect(await peer(t, GOOD.subarray(0, length), true));
    const expected = length === 0 ? /the peer closed it$/ : /in the middle of a message/;
    await assert.rejects(connection.bootstrap(Conformance).hang(), { name: "Disconnected", reason: expected });
  }
});

test("bytes that change at random", TIMEOUT, async () => {
  const random = generator(42);
  const service = { bootstrap: Conformance.serve({ hang: () => {} } as unknown as Conformance$Server) };
  for (let round = 0; round < 400; round++) {
    const frames = Buffer.concat([...LIES.slice(4).map(([, bytes]) => bytes), GOOD]);
    for (let changes = random(8); changes >= 0; changes--) frames[random(frames.length)] = random(256);
    const [near, far] = streamPair();
    const connection = new Connection(near, service);
    const call = connection.bootstrap(Conformance).hang();
    far.resume();
    far.end(frames.subarray(random(frames.length)));
    // It may even be answered.
    await call.catch(() => {});
    assert.ok((await connection.closed) instanceof Disconnected);
  }
});

/** The same numbers each time (a linear congruential generator, as in Numerical Recipes). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("a server outlives a client that sends garbage, and tells it why", TIMEOUT, async (t) => {
  const methods = { delay: () => ({ millis: 1 }) } as unknown as Conformance$Server;
  await using listener = await serve(`unix:${folder(t)}/server`, () => Conformance.serve(methods));
  const socket = createConnection(listener.address.slice("unix:".length));
  const answer: Buffer[] = [];
  socket.on("data", (bytes) => answer.push(bytes));
  socket.write("GET / HTTP/1.1\r\n\r\n");
  await once(socket, "close");
  assert.match(Buffer.concat(answer).toString("latin1"), /segments, and at most 512 are accepted/);

  await using connection = await connect(listener.address);
  assert.equal((await connection.bootstrap(Conformance).delay()).millis, 1);
});

test("a peer that never finishes its calls is disconnected", TIMEOUT, async (t) => {
  const limits = { answersOpenMax: 10 };
  const methods = { delay: () => ({ millis: 1 }) } as unknown as Conformance$Server;
  await using listener = await serve(`unix:${folder(t)}/server`, () => Conformance.serve(methods), { limits });
  const socket = createConnection(listener.address.slice("unix:".length)).resume();
  for (let id = 0; id < 11; id++) socket.write(frame((m) => Object.assign(m._initBootstrap(), { questionId: id })));
  await once(socket, "close");
});

test("a sender of messages that ends in the middle, or sends none", TIMEOUT, async (t) => {
  using listener = await MessageListener.bind(`unix:${folder(t)}/records`);
  const whole = Buffer.concat(encodeFrame(new MessageBuilder()));
  for (const [bytes, whole_] of [
    [Buffer.concat([whole, whole.subarray(0, 5)]), 1],
    [Buffer.from("no message at all"), 0],
  ] as const) {
    createConnection(listener.address.slice("unix:".length)).end(bytes);
    const receiver = await listener.accept(Record);
    for (let count = 0; count < whole_; count++) assert.equal((await receiver.receive())?.name, "");
    await assert.rejects(receiver.receive(), Disconnected);
    await assert.rejects(receiver.receive(), Disconnected);
    await receiver.close();
  }
});

test("a receiver that goes away", TIMEOUT, async (t) => {
  using listener = await MessageListener.bind(`unix:${folder(t)}/records`);
  const sender = await Sender.connect(listener.address, Record);
  const receiver = await listener.accept(Record);
  await sender.send({ name: "one" });
  assert.equal((await receiver.receive())?.name, "one");
  await receiver.close();
  await assert.rejects(async () => {
    for (;;) await sender.send({ name: "x".repeat(100_000) });
  }, Disconnected);
  await sender.finish();
});
