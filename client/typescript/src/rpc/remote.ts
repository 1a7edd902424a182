/** Objects of the peer. */

import { Answer, type Path } from "./answer.js";
import { BrokenCapability, Capability, QueuedCapability } from "./capability.js";
import type { Connection } from "./connection.js";
import type { Request } from "./request.js";

/** How a message names what it is for: an object that the peer exports, or one in the results of a call. */
export type Target = { readonly importId: number } | { readonly questionId: number; readonly path: Path };

/** Gives references back that were forgotten without being released. */
const forgotten = new FinalizationRegistry<{ connection: Connection; importId: number }>(({ connection, importId }) =>
  connection.sendRelease(importId),
);

/** One reference to an object of the peer; it counts as one on the wire, and is given back once. */
export class ImportedCapability extends Capability {
  #released: Error | undefined;

  constructor(
    readonly connection: Connection,
    readonly importId: number,
  ) {
    super();
    forgotten.register(this, { connection, importId }, this);
  }

  override call(request: Request): Answer {
    if (this.#released !== undefined) return new BrokenCapability(this.#released).call();
    return this.connection.sendCall(request, { importId: this.importId });
  }

  override get resolved(): Capability {
    return this.#released === undefined ? this : new BrokenCapability(this.#released);
  }

  override release(): void {
    if (this.#released !== undefined) return;
    this.#released = new Error("the reference was released, and then used");
    forgotten.unregister(this);
    this.connection.sendRelease(this.importId);
  }
}

/**
 * A promise of the peer: something in results that are not there yet, or an object that it has announced.
 * Calls go to the peer, which passes them on, until it is known what it is.
 *
 * If that is an object of ours, later calls must not overtake those that are still on their way through the
 * peer: they wait until the peer has sent back a `Disembargo`.
 */
export class PromisedCapability extends Capability {
  #resolution: Capability | undefined;
  #called = false;
  #released = false;

  /** @param reference what keeps `target` valid, if it has to be given back. */
  constructor(
    readonly connection: Connection,
    readonly target: Target,
    private readonly reference?: ImportedCapability,
  ) {
    super();
  }

  override call(request: Request): Answer {
    if (this.#resolution !== undefined) return this.#resolution.call(request);
    this.#called = true;
    return this.reference?.call(request) ?? this.connection.sendCall(request, this.target);
  }

  override get resolved(): Capability {
    return this.#resolution?.resolved ?? this;
  }

  resolve(capability: Capability): void {
    if (this.#resolution !== undefined) return;
    const target = capability.resolved;
    if (!this.#called || target instanceof BrokenCapability || this.connection.reaches(target)) {
      this.#resolution = capability;
    } else {
      const waiting = new QueuedCapability();
      this.#resolution = waiting;
      this.connection.sendDisembargo(this.target, () => waiting.resolve(capability));
    }
    this.reference?.release();
    if (this.#released) capability.release();
  }

  override release(): void {
    this.#released = true;
    (this.#resolution ?? this.reference)?.release();
  }
}

/** A call to the peer. */
export class Question extends Answer {
  /** Whether the peer was told that the results are not wanted. */
  isFinished = false;

  constructor(
    private readonly connection: Connection,
    readonly id: number,
  ) {
    super();
  }

  protected override promise(path: Path): PromisedCapability {
    return new PromisedCapability(this.connection, { questionId: this.id, path });
  }

  protected override cancelled(): void {
    this.isFinished = true;
    this.connection.sendFinish(this.id, true);
  }
}
