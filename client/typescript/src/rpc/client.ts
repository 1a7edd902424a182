/** What generated code builds on: references to objects with the methods of their interface, and calls. */

import { asError } from "../errors.js";
import type { Fill } from "../fill.js";
import {
  type Pointer,
  type Client as SerialClient,
  Pointer as SerialPointer,
  type Struct,
  type StructCtor,
} from "../serial.js";
import { watch } from "../wait.js";
import { type Answer, FailedAnswer, type Path } from "./answer.js";
import { type Capability, capabilityAt } from "./capability.js";
import type { InterfaceType } from "./interface.js";
import { type Method, Request } from "./request.js";

export interface CallOptions {
  /** How long the call may take. It fails with `Deadline` then and is cancelled, at the server too. */
  readonly deadlineMillis?: number;
  /** Cancels the call, at the server too. It fails with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What the method of an object learns about the call. */
export interface CallContext {
  /** Aborted when the caller does not want the results any more, or is gone. */
  readonly signal: AbortSignal;
}

/**
 * A reference to an object, here or elsewhere.
 *
 * It ends with {@link release}, with `using`, or when it is garbage; then the other side may free the object.
 * (Its own members begin with `$`, so that no method of a schema can hide them.)
 */
export class Client {
  constructor(readonly $capability: Capability) {}

  /** For capnp-es, which puts it into a message's table and looks at it no further. */
  get $client(): SerialClient {
    return this.$capability as unknown as SerialClient;
  }

  [Symbol.dispose](): void {
    this.$capability.release();
  }

  protected $call<P extends Struct, R extends Struct, C extends Call<R>>(
    method: Method<P, R>,
    CallType: new (answer: Answer, Results: StructCtor<R>, options: CallOptions | undefined) => C,
    params: Fill<P> | undefined,
    options: CallOptions | undefined,
  ): C {
    const answer = send(this.$capability, method, params, options?.signal);
    return new CallType(answer, method.Results as StructCtor<R>, options);
  }

  protected async $stream<P extends Struct>(method: Method<P>, params: Fill<P> | undefined): Promise<void> {
    const { window } = this.$capability;
    if (window.failed !== undefined) throw window.failed;
    const request = Request.build(method, params);
    await window.sent(request.bytes, this.$capability.call(request).results);
  }
}

function send<P extends Struct>(
  capability: Capability,
  method: Method<P>,
  params: Fill<P> | undefined,
  signal: AbortSignal | undefined,
): Answer {
  if (signal?.aborted) return new FailedAnswer(asError(signal.reason));
  return capability.call(Request.build(method, params));
}

/** Gives an object up: the peer that has it may free it. Other references from the same message end too. */
export function release(client: Client): void {
  client.$capability.release();
}

/** A call under way: await it for its results, or use the capabilities in them at once. */
export class Call<R extends Struct> implements Promise<R> {
  readonly [Symbol.toStringTag] = "Call";
  readonly #answer: Answer;
  readonly #results: Promise<R>;

  constructor(answer: Answer, Results: StructCtor<R>, options?: CallOptions) {
    this.#answer = answer;
    const stopWatching = watch(options ?? {}, (error) => answer.cancel(error));
    this.#results = answer.results.then((payload) => payload.read(Results)).finally(stopWatching);
    // Who only pipelines on the call does not look at its results.
    this.#results.catch(() => {});
  }

  // biome-ignore lint/suspicious/noThenProperty: to be awaited is what it is for
  then<T = R, E = never>(
    onResults?: ((results: R) => T | PromiseLike<T>) | null,
    onError?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<T | E> {
    return this.#results.then(onResults, onError);
  }

  catch<E = never>(onError?: ((error: unknown) => E | PromiseLike<E>) | null): Promise<R | E> {
    return this.#results.catch(onError);
  }

  finally(onEnd?: (() => void) | null): Promise<R> {
    return this.#results.finally(onEnd);
  }

  protected get $pipeline(): Pipeline {
    return new Pipeline(this.#answer);
  }
}

/** A place in results that are not there yet. */
export class Pipeline {
  constructor(
    private readonly answer: Answer,
    private readonly path: Path = [],
  ) {}

  at(field: number): Pipeline {
    return new Pipeline(this.answer, [...this.path, field]);
  }

  client<C extends Client>(field: number, Client: new (capability: Capability) => C): C {
    return new Client(this.at(field).capability());
  }

  capability(): Capability {
    return this.answer.pipelined(this.path);
  }
}

/** The capability in a field of the type `AnyPointer` or `Capability`, as an interface that it is known to have. */
export function capability<C extends Client, S extends object>(at: Pointer | Pipeline, type: InterfaceType<C, S>): C {
  return new type.Client(at instanceof SerialPointer ? capabilityAt(at) : at.capability());
}
