/** What a capability is inside, where the types of interfaces are gone: something that can be called. */

import { type Pointer, PointerType, utils } from "../serial.js";
import { type Answer, FailedAnswer, QueuedAnswer } from "./answer.js";
import type { Request } from "./request.js";
import { StreamWindow } from "./stream.js";

export abstract class Capability {
  #window: StreamWindow | undefined;

  /** Makes a call. Calls arrive in the order in which they were made. */
  abstract call(request: Request): Answer;

  /** What it has turned out to be; itself while that is not known. */
  get resolved(): Capability {
    return this;
  }

  /** Gives it up: the peer that has the object may free it. */
  release(): void {}

  /** The flow control of streams into it. */
  get window(): StreamWindow {
    this.#window ??= new StreamWindow();
    return this.#window;
  }
}

/** A capability on which every call fails. */
export class BrokenCapability extends Capability {
  constructor(readonly error: Error) {
    super();
  }

  override call(): Answer {
    return new FailedAnswer(this.error);
  }
}

/** A capability that is not known yet: calls wait for it. */
export class QueuedCapability extends Capability {
  #target: Capability | undefined;
  #waiting: { request: Request; answer: QueuedAnswer }[] = [];

  override call(request: Request): Answer {
    if (this.#target !== undefined) return this.#target.call(request);
    const answer = new QueuedAnswer();
    this.#waiting.push({ request, answer });
    return answer;
  }

  override get resolved(): Capability {
    return this.#target?.resolved ?? this;
  }

  resolve(target: Capability): void {
    this.#target = target;
    for (const { request, answer } of this.#waiting) {
      if (!answer.isSettled) answer.follow(target.call(request));
    }
    this.#waiting = [];
  }

  override release(): void {
    this.#target?.release();
  }
}

/** The capability that a pointer stands for; one on which every call fails when it stands for none. */
export function capabilityAt(pointer: Pointer): Capability {
  if (utils.isNull(pointer) || utils.getTargetPointerType(pointer) !== PointerType.OTHER) return NULL_CAPABILITY;
  const table = pointer.segment.message._capnp.capTable ?? [];
  // Whatever a message has in its table was put there by `Client` or by a connection.
  const capability = table[utils.getCapabilityId(utils.followFars(pointer))] as unknown as
    | Capability
    | null
    | undefined;
  return capability ?? NULL_CAPABILITY;
}

const NULL_CAPABILITY = new BrokenCapability(new Error("a null capability was called"));
