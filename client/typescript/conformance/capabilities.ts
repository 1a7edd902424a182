/** References to objects, of the server and of this program. */

import {
  Callback,
  type Callback$Server,
  type Conformance,
  Counter,
  type Counter$Server,
  Reentrant,
  type Reentrant$Server,
} from "../samples/schema/conformance.js";
import { is, isSame } from "./expect.js";

export async function capability(server: Conformance): Promise<void> {
  const { counter: one } = await server.newCounter({ start: 10n });
  const { counter: other } = await server.newCounter({ start: 100n });
  is("10 + 5", (await one.add({ amount: 5n })).value, 15n);
  is("100 - 1", (await other.add({ amount: -1n })).value, 99n);
  is("the one", (await one.read()).value, 15n);
  is("the other", (await other.read()).value, 99n);
}

/** An object is known again when it comes back to where it lives. */
export async function identity(server: Conformance): Promise<void> {
  const { counter: theirs } = await server.newCounter({ start: 11n });
  const own = await server.identify({ counter: theirs });
  is("a counter of the server: own, and its value", [own.own, own.value], [true, 11n]);

  const object = new OwnCounter(22n);
  const ours = Counter.serve(object);
  const foreign = await server.identify({ counter: ours });
  is("a counter of ours: own, and its value", [foreign.own, foreign.value], [false, 22n]);
  is("how often it was read", object.reads, 1);

  const { counter: echoed } = await server.echoCounter({ counter: ours });
  is("22 + 3", (await echoed.add({ amount: 3n })).value, 25n);
  is("the object that was called", object.value, 25n);
  is("whether the counter that came back is our object", Counter.objectOf(echoed) === object, true);
}

class OwnCounter implements Counter$Server {
  reads = 0;

  constructor(public value: bigint) {}

  add({ amount }: { amount: bigint }) {
    this.value += amount;
    return { value: this.value };
  }

  read() {
    this.reads++;
    return { value: this.value };
  }
}

/** The server calls an object of ours. */
export async function callback(server: Conformance): Promise<void> {
  const numbers: bigint[] = [];
  const doubler: Callback$Server = {
    call({ number }) {
      numbers.push(number);
      return { answer: number * 2n };
    },
  };
  const { sum } = await server.call({ callback: Callback.serve(doubler), times: 100 });
  const expected = Array.from({ length: 100 }, (_, number) => BigInt(number));
  isSame("the numbers it was called with", numbers, expected);
  is("the sum of what it answered", sum, 9900n);
}

/** The server calls us, and before we answer we call the server, and so on. */
export async function reentrant(server: Conformance): Promise<void> {
  const depths: number[] = [];
  const object: Reentrant$Server = {
    async call({ server, depth }) {
      depths.push(depth);
      const inner = await server.reenter({ callback: Reentrant.serve(object), depth });
      return { depth: inner.depth };
    },
  };
  const { depth } = await server.reenter({ callback: Reentrant.serve(object), depth: 5 });
  is("the depth", depth, 5);
  is("the depths it was called with", depths, [4, 3, 2, 1, 0]);
}

/** Calls on what has not been returned yet: all five are on their way before the first is answered. */
export async function pipelining(server: Conformance): Promise<void> {
  const { depth } = await server.node().node.next().node.next().node.next().node.depth();
  is("the depth of the fourth node", depth, 3);
}

/** Two results of one call, used before it returned. The server sets the second first. */
export async function outOfOrder(server: Conformance): Promise<void> {
  const { first, second } = server.pair();
  const [one, two] = await Promise.all([first.read(), second.read()]);
  is("first", one.value, 1n);
  is("second", two.value, 2n);
}
