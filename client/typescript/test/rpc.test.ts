/** The RPC of both sides, over a pair of streams in memory. */

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  Connection,
  type ConnectionOptions,
  Deadline,
  Disconnected,
  LimitError,
  release,
  ServiceError,
  capability as typed,
} from "shipmate";
import {
  Conformance,
  type Conformance$Server,
  Counter,
  type Counter$Server,
  Sink,
  type Sink$Server,
} from "../samples/schema/conformance.js";
import { Shipmate, type Shipmate$Server } from "../samples/schema/shipmate.js";
import { Unusual, Unusual_Inner, type Unusual_Inner$Server, type Unusual$Server } from "./generated/unusual.js";
import { errorOf, Shipmated, streamPair, until } from "./harness.js";

const TIMEOUT = { timeout: 60_000 };

/** A client's side and a server's side; both are closed after the test. */
function pair(t: TestContext, options: ConnectionOptions, clientOptions: ConnectionOptions = {}) {
  const [near, far] = streamPair();
  const connections = { client: new Connection(near, clientOptions), server: new Connection(far, options) };
  t.after(() => Promise.all([connections.client.close(), connections.server.close()]));
  return connections;
}

/** An object of which a test needs only some methods. */
function conformance(methods: Partial<Conformance$Server>): ConnectionOptions {
  return { bootstrap: Conformance.serve(methods as Conformance$Server) };
}

function unusual(methods: Partial<Unusual$Server>): ConnectionOptions {
  return { bootstrap: Unusual.serve(methods as Unusual$Server) };
}

class TestCounter implements Counter$Server {
  added: bigint[] = [];
  disposed = 0;

  add({ amount }: { amount: bigint }) {
    this.added.push(amount);
    return { value: amount };
  }

  read() {
    return { value: BigInt(this.added.length) };
  }

  [Symbol.dispose](): void {
    this.disposed++;
  }
}

test("a reference that is released frees the object", TIMEOUT, async (t) => {
  const object = new TestCounter();
  const { client } = pair(t, conformance({ newCounter: () => ({ counter: Counter.serve(object) }) }));
  const server = client.bootstrap(Conformance);
  const one = (await server.newCounter()).counter;
  const other = (await server.newCounter()).counter;
  release(one);
  await assert.rejects(one.read(), /released/);
  assert.equal((await other.read()).value, 0n);
  assert.equal(object.disposed, 0);
  release(other);
  await until(() => object.disposed === 1);
});

test("a reference that is garbage frees the object", TIMEOUT, async (t) => {
  const object = new TestCounter();
  const { client } = pair(t, conformance({ newCounter: () => ({ counter: Counter.serve(object) }) }));
  const server = client.bootstrap(Conformance);
  await server.newCounter().counter.read();
  await until(() => {
    global.gc?.();
    return object.disposed === 1;
  });
});

test("what came with a call is freed when the server is done with it, and with the connection", TIMEOUT, async (t) => {
  const kept: Counter[] = [];
  const { client } = pair(
    t,
    conformance({
      async identify({ counter }) {
        const { value } = await counter.read();
        if (value === 0n) release(counter);
        else kept.push(counter);
        return { own: false, value };
      },
    }),
  );
  const server = client.bootstrap(Conformance);
  const [freed, held] = [new TestCounter(), new TestCounter()];
  held.added.push(1n);
  await server.identify({ counter: Counter.serve(freed) });
  await until(() => freed.disposed === 1);
  await server.identify({ counter: Counter.serve(held) });
  assert.equal(held.disposed, 0);
  await client.close();
  assert.equal(held.disposed, 1);
});

test("calls keep their order when a promise turns out to be our own object", TIMEOUT, async (t) => {
  const { client } = pair(t, conformance({ echoCounter: ({ counter }) => ({ counter }) }));
  await keepsOrder(client);
});

test("and so they do through another implementation", TIMEOUT, async (t) => {
  const { connect } = await import("shipmate");
  const server = await Shipmated.start(t, "tcp:127.0.0.1:0", "conformance");
  await using connection = await connect(server.address);
  await keepsOrder(connection);
});

async function keepsOrder(connection: Connection): Promise<void> {
  const server = connection.bootstrap(Conformance);
  const object = new TestCounter();
  const call = server.echoCounter({ counter: Counter.serve(object) });
  const { counter } = call;
  // By way of the server, and once the answer is there without it.
  const calls = Array.from({ length: 100 }, (_, number) => counter.add({ amount: BigInt(number) }));
  await call;
  for (let number = 100; number < 200; number++) calls.push(counter.add({ amount: BigInt(number) }));
  await Promise.all(calls);
  assert.deepEqual(
    object.added,
    Array.from({ length: 200 }, (_, number) => BigInt(number)),
  );
  assert.equal(Counter.objectOf(counter), object);
}

test("an error fails what was pipelined on it, and nothing is left unhandled", TIMEOUT, async (t) => {
  const { client } = pair(
    t,
    conformance({
      node: () => Promise.reject(new ServiceError("overloaded", "no nodes today")),
    }),
  );
  const { node } = client.bootstrap(Conformance).node();
  const error = await node
    .next()
    .node.depth()
    .catch((error: unknown) => error);
  assert.ok(error instanceof ServiceError);
  assert.deepEqual([error.kind, error.reason], ["overloaded", "no nodes today"]);
});

test("errors of an implementation reach the caller with their kind", TIMEOUT, async (t) => {
  const thrown = [
    new Error("plain"),
    new ServiceError("unimplemented", "not yet"),
    new Disconnected("a third is gone"),
    new LimitError("x", 1, 2, "less"),
  ];
  const { client } = pair(
    t,
    conformance({
      delay({ millis }) {
        throw thrown[millis];
      },
    }),
  );
  const server = client.bootstrap(Conformance);
  const seen = await Promise.all(thrown.map((_, millis) => errorOf(server.delay({ millis }))));
  assert.deepEqual(
    seen.map((error) => (error instanceof ServiceError ? [error.kind, error.reason] : String(error))),
    [
      ["failed", "plain"],
      ["unimplemented", "not yet"],
      "Disconnected: the connection is gone: a third is gone",
      ["overloaded", thrown[3]?.message],
    ],
  );
  await assert.rejects(server.hang(), { kind: "unimplemented" });
});

test("null and missing capabilities", TIMEOUT, async (t) => {
  const { client } = pair(t, {
    bootstrap: Shipmate.serve({ get: () => ({ found: false }) } as unknown as Shipmate$Server),
  });
  const call = client.bootstrap(Shipmate).get({ name: "none" });
  await assert.rejects(typed(call.service, Counter).read(), /null capability/);
  await assert.rejects(typed((await call).service, Counter).read(), /null capability/);
  const nothing = pair(t, {}).client.bootstrap(Counter);
  await assert.rejects(nothing.read(), /no bootstrap object/);
});

test("cancelling, a deadline and the end of the connection reach the implementation", TIMEOUT, async (t) => {
  let [started, aborted] = [0, 0];
  const { client, server } = pair(
    t,
    unusual({
      wait: (_, { signal }) =>
        new Promise((resolve) => {
          started++;
          signal.addEventListener("abort", () => {
            aborted++;
            resolve();
          });
        }),
    }),
  );
  const object = client.bootstrap(Unusual);

  const controller = new AbortController();
  const cancelled = object.wait({}, { signal: controller.signal });
  await until(() => started === 1);
  controller.abort(new Error("changed my mind"));
  await assert.rejects(cancelled, /changed my mind/);
  await until(() => aborted === 1);
  await assert.rejects(object.wait({}, { signal: controller.signal }), /changed my mind/);

  await assert.rejects(object.wait({}, { deadlineMillis: 50 }), Deadline);
  await until(() => aborted === 2);

  const lost = object.wait();
  await until(() => started === 3);
  await client.close();
  await assert.rejects(lost, Disconnected);
  await server.closed;
  assert.equal(aborted, 3);
});

test("a stream is handled in order, holds its sender back, and ends with its first error", TIMEOUT, async (t) => {
  let handled = 0;
  let resume: (() => void) | undefined;
  const sink: Sink$Server = {
    async write({ chunk }) {
      if (chunk.length === 1) throw new ServiceError("failed", "too short");
      await new Promise<void>((resolve) => {
        resume = resolve;
      });
      handled++;
    },
    done: () => ({ chunks: handled }),
  };
  const { client } = pair(t, conformance({ openSink: () => ({ sink: Sink.serve(sink) }) }));
  const stream = client.bootstrap(Conformance).openSink().sink;
  let sent = 0;
  const sending = (async () => {
    for (; sent < 50; sent++) await stream.write({ chunk: new Uint8Array(50_000) });
  })();
  const done = () => stream.done();
  await until(() => resume !== undefined);
  assert.ok(sent <= 6, `${sent} chunks of 50 kB were sent ahead`);
  while (handled < 50) {
    await until(() => resume !== undefined);
    assert.ok(sent - handled <= 6, "the window holds");
    resume?.();
    resume = undefined;
    const before = handled;
    await until(() => handled > before);
  }
  await sending;
  assert.equal((await done()).chunks, 50);

  await stream.write({ chunk: new Uint8Array(1) });
  await assert.rejects(done(), { reason: "too short" });
  await assert.rejects(stream.write({ chunk: new Uint8Array(2) }), { reason: "too short" });
});

test("more calls at once than allowed are refused, and the connection goes on", TIMEOUT, async (t) => {
  const finish: (() => void)[] = [];
  const wait = () => new Promise<void>((resolve) => finish.push(resolve));
  const { client } = pair(t, { ...unusual({ wait }), limits: { callsInFlightMax: 3 } });
  const object = client.bootstrap(Unusual);
  const calls = Array.from({ length: 3 }, async () => object.wait());
  await assert.rejects(object.wait(), { kind: "overloaded" });
  for (const resolve of finish) resolve();
  await Promise.all(calls);
  const again = object.wait();
  await until(() => finish.length === 4);
  finish[3]?.();
  await again;
});

test("an object in a call that cannot be sent is not kept", TIMEOUT, async (t) => {
  const { client } = pair(t, unusual({}), { limits: { frameBytesMax: 1000 } });
  const object = { client: () => ({}), disposed: 0, [Symbol.dispose]: () => void object.disposed++ };
  const inners = Array.from({ length: 100 }, () => Unusual_Inner.serve(object));
  await assert.rejects(client.bootstrap(Unusual).list({ inners }), LimitError);
  assert.equal(object.disposed, 1);
});

test("what is too large is not sent, and the connection goes on", TIMEOUT, async (t) => {
  const big: Partial<Unusual$Server> = { big: ({ bytes }) => ({ data: new Uint8Array(bytes) }) };
  const limits = { frameBytesMax: 100_000 };
  const { client } = pair(t, { ...unusual(big), limits }, { limits });
  const object = client.bootstrap(Unusual);
  await assert.rejects(object.rename({ name: "x".repeat(200_000) }), LimitError);
  await assert.rejects(object.big({ bytes: 200_000 }), { kind: "overloaded", reason: /frameBytesMax/ });
  assert.equal((await object.big({ bytes: 10 })).data.length, 10);
  const queue = pair(t, unusual(big), { limits: { queueBytesMax: 1000 } }).client.bootstrap(Unusual);
  await assert.rejects(queue.rename({ name: "x".repeat(2000) }), { limit: "queueBytesMax" });
});

test("a peer that does not read its answers is not read either", TIMEOUT, async (t) => {
  let taken = 0;
  const big: Partial<Unusual$Server> = {
    big: ({ bytes }) => {
      taken++;
      return { data: new Uint8Array(bytes) };
    },
  };
  const [near, far] = streamPair();
  const server = new Connection(far, unusual(big));
  const client = new Connection(near);
  t.after(() => Promise.all([client.close(), server.close()]));
  const object = client.bootstrap(Unusual);
  near.pause();
  const calls = Array.from({ length: 100 }, async () => object.big({ bytes: 1 << 20 }));
  // As long as it takes up more: a turn of the event loop for each, and many to spare.
  for (let idle = 0, before = -1; idle < 100; idle = taken === before ? idle + 1 : 0, before = taken) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(taken >= 4 && taken < 100, `${taken} calls were taken up`);
  near.resume();
  await Promise.all(calls);
  assert.equal(taken, 100);
});

test("interfaces that extend others, names that are taken, and capabilities inside of structs", TIMEOUT, async (t) => {
  let name = "none";
  const inner: Unusual_Inner$Server = {
    client({ capability }) {
      // biome-ignore lint/suspicious/noThenProperty: the schema has it
      return (results) => Object.assign(results, { then: capability, finally: "done" });
    },
  };
  const object: Partial<Unusual$Server> = {
    name: () => ({ name }),
    rename(params) {
      name = params.name;
    },
    close: () => ({ closed: true }),
    nested: () => ({ holder: { next: { group: { inner: Unusual_Inner.serve(inner) } } } }),
    any: (params) => ({ object: params.object }),
    list: (params) => ({ inners: params.inners }),
  };
  const server = pair(t, unusual(object)).client.bootstrap(Unusual);
  await server.rename({ name: "keel" });
  assert.equal((await server.name()).name, "keel");
  assert.equal((await server.close()).closed, true);
  const own = Unusual_Inner.serve(inner);
  const echoed = typed((await server.any({ object: own })).object, Unusual_Inner);
  assert.equal(Unusual_Inner.objectOf(echoed), inner);
  // In a list.
  const { inners } = await server.list({ inners: [own, own] });
  assert.deepEqual(
    inners.map((each) => Unusual_Inner.objectOf(each)),
    [inner, inner],
  );
  // Down a struct, a struct and a group, before anything has been answered.
  const call = server.nested().holder.next.group.inner.client({ capability: own });
  assert.equal((await call.$then.client({ capability: own })).finally, "done");
  assert.equal((await call).finally, "done");
});
