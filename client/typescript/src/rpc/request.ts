/** The two things that carry a payload: a call, and what it returns. */

import { type Payload as Body, type Call, Message, type Return } from "capnp-es/capnp/rpc";
import { type Fill, fill } from "../fill.js";
import { MessageBuilder, type Pointer, type Struct, type StructCtor, structAt, utils } from "../serial.js";

/** A method as generated code describes it. */
export interface Method<P extends Struct = Struct, R extends Struct = Struct> {
  readonly name: string;
  readonly interfaceId: bigint;
  readonly methodId: number;
  readonly Params: StructCtor<P>;
  /** None when the method is a stream. */
  readonly Results?: StructCtor<R>;
}

/** A call: a message that is built already, but not addressed. */
export class Request {
  /**
   * @param isFresh whether the message may be addressed and sent as it is; one that was received is copied.
   */
  constructor(
    readonly call: Call,
    readonly isFresh: boolean,
  ) {}

  static build<P extends Struct>(method: Method<P>, params: Fill<P> | undefined): Request {
    const call = new MessageBuilder().initRoot(Message)._initCall();
    call.interfaceId = method.interfaceId;
    call.methodId = method.methodId;
    const struct = utils.getAs(method.Params, call._initParams().content as P);
    utils.initStruct(method.Params._capnp.size, struct);
    if (params !== undefined) fill(struct, params);
    return new Request(call, true);
  }

  get bytes(): number {
    return bytesOf(this.call);
  }

  /** Itself if it may be sent, or a copy. */
  fresh(): Request {
    if (this.isFresh) return this;
    const call = new MessageBuilder().initRoot(Message)._initCall();
    call.interfaceId = this.call.interfaceId;
    call.methodId = this.call.methodId;
    utils.copyFrom(this.call.params.content, call._initParams().content);
    return new Request(call, true);
  }
}

/** What a call returned. */
export class Payload {
  constructor(
    readonly body: Body,
    readonly isFresh: boolean,
  ) {}

  static build<R extends Struct>(Results: StructCtor<R> | undefined, results: Fill<R> | undefined): Payload {
    const body = new MessageBuilder().initRoot(Message)._initReturn()._initResults();
    if (Results !== undefined) {
      const struct = utils.getAs(Results, body.content as R);
      utils.initStruct(Results._capnp.size, struct);
      if (results !== undefined) fill(struct, results);
    }
    return new Payload(body, true);
  }

  /** A payload that is one capability. */
  static ofCapability(capability: unknown): Payload {
    const payload = Payload.build(undefined, undefined);
    const { content } = payload;
    utils.setInterfacePointer(content.segment.message.addCap(capability as never), content);
    return payload;
  }

  get content(): Pointer {
    return this.body.content;
  }

  read<T extends Struct>(type: StructCtor<T>): T {
    return structAt(this.content, type);
  }

  /** Itself if it may be sent, or a copy; with the `Return` that it is in. */
  fresh(): { payload: Payload; ret: Return } {
    if (this.isFresh) return { payload: this, ret: this.body.segment.message.getRoot(Message).return };
    const copy = Payload.build(undefined, undefined);
    utils.copyFrom(this.content, copy.content);
    return copy.fresh();
  }
}

/** How long the message is that a struct is in. */
export function bytesOf(struct: Struct): number {
  return struct.segment.message._capnp.segments.reduce((bytes, segment) => bytes + segment.byteLength, 0);
}
