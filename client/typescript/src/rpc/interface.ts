/** Interfaces as values, and the objects of this program that implement them. */

import { asError, ServiceError } from "../errors.js";
import type { Fill } from "../fill.js";
import { type Struct, structAt } from "../serial.js";
import { Answer, FailedAnswer } from "./answer.js";
import { Capability } from "./capability.js";
import type { CallContext, Client } from "./client.js";
import { type Method, Payload, type Request } from "./request.js";

/** An interface of a schema. Generated code has one for each, of the interface's name. */
export interface InterfaceType<C extends Client, Server extends object> {
  readonly id: bigint;
  /** As in "arith.capnp:Arith". */
  readonly name: string;
  readonly Client: new (capability: Capability) => C;

  /**
   * A reference to an object of this program, to be handed to others.
   *
   * When nobody else refers to the object any more, its method `[Symbol.dispose]` is called, if it has one.
   */
  serve(object: Server): C;

  /** The object of this program that a reference is to; none if it is another's, or not known yet. */
  objectOf(client: C): Server | undefined;
}

/** What a method of an object gives: the results, now or later, as a plain object or as a function that sets them. */
export type Reply<R extends Struct> = Fill<R> | Promise<Fill<R>>;

export function interfaceType<C extends Client, Server extends object>(
  name: string,
  id: bigint,
  Client: new (capability: Capability) => C,
  methods: Readonly<Record<string, Method>>,
): InterfaceType<C, Server> {
  const byKey = new Map(Object.values(methods).map((method) => [key(method.interfaceId, method.methodId), method]));
  const served = new WeakMap<Server, LocalCapability>();
  return {
    id,
    name,
    Client,
    serve(object) {
      let capability = served.get(object);
      if (capability === undefined) {
        capability = new LocalCapability(object, name, byKey);
        served.set(object, capability);
      }
      return new Client(capability);
    },
    objectOf(client) {
      const capability = client.$capability.resolved;
      const isOurs = capability instanceof LocalCapability && served.get(capability.object as Server) === capability;
      return isOurs ? (capability.object as Server) : undefined;
    },
  };
}

function key(interfaceId: bigint, methodId: number): string {
  return `${interfaceId}:${methodId}`;
}

/** An object of this program. */
export class LocalCapability extends Capability {
  #references = 0;
  /** Calls begin one after the other, and those after a stream's call only when that has been handled. */
  #turn: Promise<void> = Promise.resolve();
  #streamError: Error | undefined;

  constructor(
    readonly object: object,
    private readonly interfaceName: string,
    private readonly methods: ReadonlyMap<string, Method>,
  ) {
    super();
  }

  override call(request: Request): Answer {
    const method = this.methods.get(key(request.call.interfaceId, request.call.methodId));
    if (method === undefined) {
      return new FailedAnswer(new ServiceError("unimplemented", `${this.interfaceName} has no such method`));
    }
    const answer = new LocalAnswer();
    const done = this.#turn.then(() => this.#run(method, request, answer));
    if (method.Results === undefined) this.#turn = done;
    return answer;
  }

  /** A connection refers to it. */
  refer(): void {
    this.#references++;
  }

  /** A connection does not refer to it any more. */
  unrefer(): void {
    this.#references--;
    if (this.#references === 0) (this.object as Partial<Disposable>)[Symbol.dispose]?.();
  }

  async #run(method: Method, request: Request, answer: LocalAnswer): Promise<void> {
    if (answer.isSettled) return;
    try {
      if (this.#streamError !== undefined) throw this.#streamError;
      const implementation = (this.object as Record<string, unknown>)[method.name];
      if (typeof implementation !== "function") {
        throw new ServiceError("unimplemented", `${this.interfaceName}.${method.name} is not implemented`);
      }
      const params = structAt(request.call.params.content, method.Params);
      const results: Fill<Struct> | undefined = await implementation.call(this.object, params, answer.context);
      if (!answer.isSettled) answer.fulfil(Payload.build(method.Results, results));
    } catch (error) {
      if (method.Results === undefined) this.#streamError = asError(error);
      answer.fail(asError(error));
    }
  }
}

class LocalAnswer extends Answer {
  #abort: AbortController | undefined;

  get context(): CallContext {
    const answer = this;
    return {
      get signal(): AbortSignal {
        answer.#abort ??= new AbortController();
        return answer.#abort.signal;
      },
    };
  }

  protected override cancelled(): void {
    this.#abort ??= new AbortController();
    this.#abort.abort();
  }
}
