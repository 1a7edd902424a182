/**
 * Cap'n Proto RPC, level 1: one connection and its four tables.
 *
 * The comments of `rpc.capnp` in Cap'n Proto's sources are the specification. In short: a side that calls has a
 * *question*, which the other side has as an *answer*; it ends with a `Return` one way and a `Finish` the other.
 * A capability that one side *exports* the other side *imports*; it ends with a `Release`.
 */

import type { Duplex } from "node:stream";
import {
  type Payload as Body,
  type Call,
  CapDescriptor,
  type Disembargo,
  Disembargo_Context,
  Message,
  MessageTarget,
  type PromisedAnswer,
  PromisedAnswer_Op,
  Resolve,
  Return,
} from "capnp-es/capnp/rpc";
import { asError, Disconnected, LimitError, ServiceError } from "../errors.js";
import { DEFAULT_LIMITS, type Limits } from "../limits.js";
import { MessageBuilder, MessageReader, type Message as SerialMessage } from "../serial.js";
import { FrameSocket } from "../wire.js";
import { type Answer, FailedAnswer, type Path, QueuedAnswer } from "./answer.js";
import { BrokenCapability, type Capability } from "./capability.js";
import type { Client } from "./client.js";
import { readException, writeException } from "./exception.js";
import type { InterfaceType } from "./interface.js";
import { ImportedCapability, PromisedCapability, Question, type Target } from "./remote.js";
import { Payload, Request } from "./request.js";
import { Exports, IdTable } from "./tables.js";

export interface ConnectionOptions {
  /** What the peer may use. */
  readonly limits?: Partial<Limits>;
  /** What the peer gets as its bootstrap capability. */
  readonly bootstrap?: Client | undefined;
}

/** A call of the peer. */
interface Incoming {
  readonly answer: Answer;
  /** Whether it was not answered at once. */
  readonly isWork: boolean;
  /** The exports that are in its results, which a `Finish` may release. */
  exports: number[];
  isReturned: boolean;
  isFinished: boolean;
}

/** A connection to one peer. It ends with {@link close}, with `await using`, or when the peer is gone. */
export class Connection {
  readonly #limits: Limits;
  readonly #socket: FrameSocket;
  readonly #bootstrap: Capability;
  readonly #questions = new IdTable<Question>();
  readonly #answers = new Map<number, Incoming>();
  readonly #exports = new Exports();
  /** The promises among what was imported, by their ids on the wire. */
  readonly #promises = new Map<number, WeakRef<PromisedCapability>[]>();
  readonly #embargoes = new IdTable<() => void>();
  #callsInFlight = 0;
  /** What of our answers waits to be written. */
  #outgoingBytes = 0;
  #onOver!: (reason: Disconnected) => void;

  /** Resolves when the connection is over, with the reason. */
  readonly closed: Promise<Disconnected>;

  /** Speaks Cap'n Proto RPC over a stream that is connected already. */
  constructor(stream: Duplex, options: ConnectionOptions = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#bootstrap = options.bootstrap?.$capability ?? new BrokenCapability(new Error("there is no bootstrap object"));
    this.closed = new Promise((resolve) => {
      this.#onOver = resolve;
    });
    this.#socket = new FrameSocket(stream, this.#limits, {
      frame: (segments) => this.#receive(segments),
      refuse: (error) => this.#abort(error),
      end: (reason) => this.#end(reason),
    });
  }

  /** The peer's first capability, as the interface that it is known to have. It may be called at once. */
  bootstrap<C extends Client, S extends object>(type: InterfaceType<C, S>): C {
    const question = this.#ask((id) => {
      const message = newMessage();
      message._initBootstrap().questionId = id;
      return message;
    });
    return new type.Client(question.pipelined([]));
  }

  /** Why it is over; nothing while it lives. */
  get error(): Disconnected | undefined {
    return this.#socket.over;
  }

  /** Ends it. Calls in flight fail with `Disconnected`. */
  async close(): Promise<void> {
    if (this.#socket.over !== undefined) return;
    const reason = new Disconnected("this program closed it");
    const closing = this.#socket.close(reason);
    this.#end(reason);
    await closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // What the capabilities of the connection do.

  /** Calls an object of the peer. */
  sendCall(request: Request, target: Target): Answer {
    const { call } = request.fresh();
    let exported: number[] = [];
    try {
      this.#checkQueue(request.bytes);
      return this.#ask((id) => {
        call.questionId = id;
        writeTarget(call._initTarget(), target);
        exported = this.#writeCapabilities(call.params);
        return call;
      });
    } catch (error) {
      // It was not sent, so that the peer gives nothing back.
      for (const id of exported) this.#exports.release(id, 1);
      return new FailedAnswer(asError(error));
    }
  }

  sendFinish(questionId: number, releaseResultCaps: boolean): void {
    const finish = newMessage()._initFinish();
    finish.questionId = questionId;
    finish.releaseResultCaps = releaseResultCaps;
    this.#sendNote(finish);
  }

  sendRelease(importId: number): void {
    const release = newMessage()._initRelease();
    release.id = importId;
    release.referenceCount = 1;
    this.#sendNote(release);
  }

  /** Asks the peer to tell when the calls to `target` that were sent up to now have gone on their way. */
  sendDisembargo(target: Target, onLifted: () => void): void {
    const disembargo = newMessage()._initDisembargo();
    writeTarget(disembargo._initTarget(), target);
    disembargo._initContext().senderLoopback = this.#embargoes.add(() => onLifted);
    this.#sendNote(disembargo);
  }

  /** Whether calls to a capability go over this connection. */
  reaches(capability: Capability): capability is ImportedCapability | PromisedCapability {
    const isRemote = capability instanceof ImportedCapability || capability instanceof PromisedCapability;
    return isRemote && capability.connection === this;
  }

  // Sending.

  #ask(build: (id: number) => { segment: { message: SerialMessage } }): Question {
    const over = this.#socket.over;
    if (over !== undefined) throw new Disconnected(over.reason, { cause: over });
    const question = this.#questions.create((id) => new Question(this, id));
    try {
      this.#socket.send(build(question.id).segment.message);
    } catch (error) {
      this.#questions.delete(question.id);
      throw error;
    }
    return question;
  }

  /** Sends what nobody waits for. It does not matter any more when the connection is over. */
  #sendNote(note: { segment: { message: SerialMessage } }): void {
    if (this.#socket.over === undefined) this.#socket.send(note.segment.message);
  }

  #abort(error: Error): void {
    const message = newMessage();
    writeException(message._initAbort(), error);
    this.#sendNote(message);
  }

  #checkQueue(bytes: number): void {
    const queued = this.#socket.queuedBytes + bytes;
    const { queueBytesMax } = this.#limits;
    if (queued <= queueBytesMax) return;
    throw new LimitError("queueBytesMax", queueBytesMax, queued, "await some of the calls before making more");
  }

  /** Writes what is in a message's table into its payload. Gives the exports that were counted for it. */
  #writeCapabilities(body: Body): number[] {
    const capabilities = (body.segment.message._capnp.capTable ?? []) as unknown as Capability[];
    if (capabilities.length === 0) return [];
    const descriptors = body._initCapTable(capabilities.length);
    const exported: number[] = [];
    for (const [index, capability] of capabilities.entries()) {
      const id = this.#writeCapability(descriptors.get(index), capability.resolved);
      if (id !== undefined) exported.push(id);
    }
    return exported;
  }

  #writeCapability(descriptor: CapDescriptor, capability: Capability): number | undefined {
    if (!this.reaches(capability)) {
      const id = this.#exports.add(capability);
      descriptor.senderHosted = id;
      return id;
    }
    if (capability instanceof ImportedCapability) descriptor.receiverHosted = capability.importId;
    else if ("importId" in capability.target) descriptor.receiverHosted = capability.target.importId;
    else writePromisedAnswer(descriptor._initReceiverAnswer(), capability.target);
    return undefined;
  }

  // Receiving.

  #receive(segments: ArrayBuffer[]): void {
    const message = new MessageReader(segments, this.#limits).getRoot(Message);
    switch (message.which()) {
      case Message.BOOTSTRAP:
        this.#take(message.bootstrap.questionId, () => {
          const answer = new QueuedAnswer();
          answer.fulfil(Payload.ofCapability(this.#bootstrap));
          return answer;
        });
        break;
      case Message.CALL:
        this.#receiveCall(message.call);
        break;
      case Message.RETURN:
        this.#receiveReturn(message.return);
        break;
      case Message.FINISH:
        this.#receiveFinish(message.finish.questionId, message.finish.releaseResultCaps);
        break;
      case Message.RESOLVE:
        this.#receiveResolve(message.resolve);
        break;
      case Message.RELEASE:
        this.#exports.release(message.release.id, message.release.referenceCount);
        break;
      case Message.DISEMBARGO:
        this.#receiveDisembargo(message.disembargo);
        break;
      case Message.ABORT:
        this.#socket.end(`the peer ended it: ${readException(message.abort).reason}`);
        break;
      case Message.UNIMPLEMENTED:
        this.#receiveUnimplemented(message.unimplemented);
        break;
      default: {
        const reply = newMessage();
        reply.unimplemented = message;
        this.#sendNote(reply);
      }
    }
  }

  #receiveCall(call: Call): void {
    this.#readCapabilities(call.params);
    this.#take(call.questionId, () => {
      if (!call.sendResultsTo._isCaller) {
        return new FailedAnswer(new ServiceError("unimplemented", "results are sent to the caller only"));
      }
      const { callsInFlightMax } = this.#limits;
      if (this.#callsInFlight >= callsInFlightMax) {
        return new FailedAnswer(
          new ServiceError("overloaded", `${callsInFlightMax} calls of this connection are being worked on`),
        );
      }
      return this.#capabilityOf(call.target).call(new Request(call, false));
    });
  }

  /** Takes up a call of the peer, and returns what comes of it. */
  #take(id: number, begin: () => Answer): void {
    if (this.#answers.has(id)) throw new Error(`question ${id} is asked already`);
    const { answersOpenMax } = this.#limits;
    if (this.#answers.size >= answersOpenMax) throw new Error(`more than ${answersOpenMax} answers are unfinished`);
    const answer = begin();
    const isWork = !answer.isSettled;
    const incoming: Incoming = { answer, isWork, exports: [], isReturned: false, isFinished: false };
    this.#answers.set(id, incoming);
    if (isWork) this.#callsInFlight++;
    answer.results
      .then(
        (payload) => this.#return(id, incoming, payload),
        (error) => this.#returnError(id, incoming, asError(error)),
      )
      // Our own results do not fit into a message.
      .catch((error) => this.#returnError(id, incoming, asError(error)));
  }

  #return(id: number, incoming: Incoming, results: Payload): void {
    if (incoming.isFinished) {
      this.#returnError(id, incoming, new Error("it is finished"));
      return;
    }
    const { payload, ret } = results.fresh();
    incoming.exports = this.#writeCapabilities(payload.body);
    try {
      this.#sendReturn(id, incoming, ret);
    } catch (error) {
      for (const exported of incoming.exports) this.#exports.release(exported, 1);
      incoming.exports = [];
      throw error;
    }
  }

  #returnError(id: number, incoming: Incoming, error: Error): void {
    const ret = newMessage()._initReturn();
    if (incoming.isFinished) ret.canceled = true;
    else writeException(ret._initException(), error);
    this.#sendReturn(id, incoming, ret);
  }

  #sendReturn(id: number, incoming: Incoming, ret: Return): void {
    if (this.#socket.over !== undefined || incoming.isReturned) return;
    ret.answerId = id;
    // What came with the call is given back when it is not used any more, like every import.
    ret.releaseParamCaps = false;
    const bytes = this.#socket.send(ret.segment.message, () => this.#written(bytes));
    incoming.isReturned = true;
    if (incoming.isWork) this.#callsInFlight--;
    if (incoming.isFinished) this.#answers.delete(id);
    this.#outgoingBytes += bytes;
    if (this.#outgoingBytes > this.#limits.outgoingBytesMax) this.#socket.pause();
  }

  #written(bytes: number): void {
    const { outgoingBytesMax } = this.#limits;
    const wasOver = this.#outgoingBytes > outgoingBytesMax;
    this.#outgoingBytes -= bytes;
    if (wasOver && this.#outgoingBytes <= outgoingBytesMax) this.#socket.resume();
  }

  #receiveReturn(ret: Return): void {
    const id = ret.answerId;
    const question = this.#questions.get(id);
    if (question === undefined) throw new Error(`a return for question ${id}, which was not asked`);
    if (!question.isFinished) {
      this.#settle(question, ret);
      this.sendFinish(id, false);
    }
    this.#questions.delete(id);
  }

  #settle(question: Question, ret: Return): void {
    switch (ret.which()) {
      case Return.RESULTS:
        this.#readCapabilities(ret.results);
        question.fulfil(new Payload(ret.results, false));
        break;
      case Return.EXCEPTION:
        question.fail(readException(ret.exception));
        break;
      case Return.CANCELED:
        question.fail(new ServiceError("failed", "the peer cancelled the call"));
        break;
      default:
        throw new Error(`a return of a kind that was not asked for (${ret.which()})`);
    }
  }

  #receiveFinish(id: number, releaseResultCaps: boolean): void {
    const incoming = this.#answers.get(id);
    if (incoming === undefined || incoming.isFinished) throw new Error(`a finish for question ${id}, which is none`);
    incoming.isFinished = true;
    if (incoming.isReturned) {
      this.#answers.delete(id);
      if (releaseResultCaps) for (const exported of incoming.exports) this.#exports.release(exported, 1);
    } else {
      incoming.answer.cancel(new Error("the caller cancelled the call"));
    }
  }

  #receiveResolve(resolve: Resolve): void {
    const resolution =
      resolve.which() === Resolve.CAP
        ? this.#readCapability(resolve.cap)
        : new BrokenCapability(readException(resolve.exception));
    const promises = this.#promises.get(resolve.promiseId)?.flatMap((weak) => weak.deref() ?? []) ?? [];
    this.#promises.delete(resolve.promiseId);
    for (const promise of promises) promise.resolve(resolution);
    if (promises.length === 0) resolution.release();
  }

  #receiveDisembargo(disembargo: Disembargo): void {
    const { context } = disembargo;
    switch (context.which()) {
      case Disembargo_Context.SENDER_LOOPBACK: {
        const target = this.#capabilityOf(disembargo.target).resolved;
        if (!this.reaches(target)) throw new Error("a disembargo of what is not the sender's");
        const reply = newMessage()._initDisembargo();
        writeTarget(reply._initTarget(), target instanceof ImportedCapability ? target : target.target);
        reply._initContext().receiverLoopback = context.senderLoopback;
        this.#sendNote(reply);
        break;
      }
      case Disembargo_Context.RECEIVER_LOOPBACK: {
        const onLifted = this.#embargoes.get(context.receiverLoopback);
        if (onLifted === undefined) throw new Error("a disembargo that was not asked for");
        this.#embargoes.delete(context.receiverLoopback);
        onLifted();
        break;
      }
      default:
        throw new Error("a disembargo of a kind that is not known");
    }
  }

  #receiveUnimplemented(message: Message): void {
    const isCall = message._isCall;
    if (!isCall && !message._isBootstrap) return;
    const id = isCall ? message.call.questionId : message.bootstrap.questionId;
    this.#questions.get(id)?.fail(new ServiceError("unimplemented", "the peer does not know this kind of message"));
    this.#questions.delete(id);
  }

  /** Reads the capabilities of a payload into its message's table. */
  #readCapabilities(body: Body): void {
    for (const descriptor of body.capTable) {
      body.segment.message.addCap(this.#readCapability(descriptor) as never);
    }
  }

  #readCapability(descriptor: CapDescriptor): Capability {
    switch (descriptor.which()) {
      case CapDescriptor.NONE:
        return new BrokenCapability(new Error("a null capability was called"));
      case CapDescriptor.SENDER_HOSTED:
        return new ImportedCapability(this, descriptor.senderHosted);
      case CapDescriptor.SENDER_PROMISE:
        return this.#importPromise(descriptor.senderPromise);
      case CapDescriptor.RECEIVER_HOSTED:
        return this.#exports.get(descriptor.receiverHosted);
      case CapDescriptor.RECEIVER_ANSWER:
        return this.#capabilityOfAnswer(descriptor.receiverAnswer);
      case CapDescriptor.THIRD_PARTY_HOSTED:
        return new ImportedCapability(this, descriptor.thirdPartyHosted.vineId);
      default:
        return new BrokenCapability(new ServiceError("unimplemented", "a capability of a kind that is not known"));
    }
  }

  #importPromise(importId: number): Capability {
    const reference = new ImportedCapability(this, importId);
    const promise = new PromisedCapability(this, { importId }, reference);
    const living = this.#promises.get(importId)?.filter((weak) => weak.deref() !== undefined) ?? [];
    this.#promises.set(importId, [...living, new WeakRef(promise)]);
    return promise;
  }

  #capabilityOf(target: MessageTarget): Capability {
    switch (target.which()) {
      case MessageTarget.IMPORTED_CAP:
        return this.#exports.get(target.importedCap);
      case MessageTarget.PROMISED_ANSWER:
        return this.#capabilityOfAnswer(target.promisedAnswer);
      default:
        throw new Error("a target of a kind that is not known");
    }
  }

  #capabilityOfAnswer(promised: PromisedAnswer): Capability {
    const incoming = this.#answers.get(promised.questionId);
    if (incoming === undefined) throw new Error(`question ${promised.questionId} is none, and something in it is used`);
    return incoming.answer.pipelined(readPath(promised));
  }

  // The end.

  #end(reason: Disconnected): void {
    const gone = () => new Disconnected(reason.reason, { cause: reason });
    for (const question of this.#questions.clear()) question.fail(gone());
    for (const onLifted of this.#embargoes.clear()) onLifted();
    for (const { answer } of this.#answers.values()) answer.cancel(gone());
    this.#answers.clear();
    this.#promises.clear();
    this.#exports.clear();
    this.#onOver(reason);
  }
}

function newMessage(): Message {
  return new MessageBuilder().initRoot(Message);
}

function writeTarget(to: MessageTarget, target: Target): void {
  if ("importId" in target) to.importedCap = target.importId;
  else writePromisedAnswer(to._initPromisedAnswer(), target);
}

function writePromisedAnswer(to: PromisedAnswer, target: { questionId: number; path: Path }): void {
  to.questionId = target.questionId;
  const transform = to._initTransform(target.path.length);
  for (const [index, field] of target.path.entries()) transform.get(index).getPointerField = field;
}

function readPath(promised: PromisedAnswer): Path {
  return promised.transform.flatMap((op) =>
    op.which() === PromisedAnswer_Op.GET_POINTER_FIELD ? [op.getPointerField] : [],
  );
}
