/** capnp-es, with what is wrong in it mended. Every other file takes Cap'n Proto's serialisation from here. */

import * as capnp from "capnp-es";
import { ShipmateError } from "./errors.js";
import { DEFAULT_LIMITS } from "./limits.js";

export * from "capnp-es";

/**
 * A message to build.
 *
 * It is one segment, which doubles: capnp-es would copy the whole for every 4 KiB more.
 */
export class MessageBuilder extends capnp.Message {
  /** `memory` is what to build in, of zeros. What does not fit there goes on elsewhere, all of it. */
  constructor(memory?: ArrayBuffer) {
    super(memory && ({ kind: SINGLE_SEGMENT, buffer: memory } as unknown as ArrayBuffer));
    // All of the memory would be used already, and the first word is for the root.
    if (memory) this.getSegment(0).byteLength = WORD_BYTES;
    // Wiping is for tidiness alone, as nothing points there any more; but capnp-es wipes eight times the
    // length of a text or list that is set a second time, and with it what comes behind.
    this.getSegment(0).fillZeroWords = () => {};
  }

  override allocateSegment(bytes: number): ReturnType<capnp.Message["allocateSegment"]> {
    return super.allocateSegment(Math.max(bytes, this.getSegment(0).getCapacity()));
  }
}

/** A message that was received, over the segments as they came: nothing is copied. */
export class MessageReader extends capnp.Message {
  #allocated = 0;

  constructor(
    segments: ArrayBuffer[],
    private readonly limits = DEFAULT_LIMITS,
  ) {
    super({ kind: MULTI_SEGMENT, buffers: segments } as unknown as ArrayBuffer);
  }

  /** capnp-es writes defaults into what is read, and widens structs of an older schema. */
  override allocateSegment(bytes: number): ReturnType<capnp.Message["allocateSegment"]> {
    this.#allocated += bytes;
    if (this.#allocated > this.limits.readingBytesMax) {
      throw new RangeError(`reading the message would take more than ${this.limits.readingBytesMax} bytes`);
    }
    return super.allocateSegment(bytes);
  }

  override getRoot<T extends capnp.Struct>(type: capnp.StructCtor<T>): T {
    return structAt(new capnp.Pointer(this.getSegment(0), 0, this.limits.nestingMax), type);
  }
}

/** capnp-es's kinds of arena; it exports neither the classes nor the constants. */
const SINGLE_SEGMENT = 0;
const MULTI_SEGMENT = 1;

const WORD_BYTES = 8;

type Segment = ReturnType<capnp.Message["getSegment"]>;
/** capnp-es does not export it. */
const Segment = new capnp.Message().getSegment(0).constructor as new (
  id: number,
  message: capnp.Message,
  buffer: ArrayBuffer,
  byteLength: number,
) => Segment;

/**
 * A segment in memory that cannot be written.
 *
 * capnp-es writes when it reads, where a struct is of an older schema or a pointer is null: it gets a copy then.
 */
class LentSegment extends Segment {
  #isCopy = false;

  own(): void {
    if (this.#isCopy) return;
    this.#isCopy = true;
    const buffer = this.buffer.slice(0);
    // The second is not public.
    Object.assign(this, { buffer, _dv: new DataView(buffer) });
  }
}

for (const name of Object.getOwnPropertyNames(Segment.prototype).filter((name) => /^(set|copy|fill)/.test(name))) {
  const write = Reflect.get(Segment.prototype, name) as (...args: unknown[]) => unknown;
  Object.defineProperty(LentSegment.prototype, name, {
    value(this: LentSegment, ...args: unknown[]) {
      this.own();
      return write.apply(this, args);
    },
  });
}

/** A message that is read where it lies, in memory that cannot be written. */
export class LentReader extends MessageReader {
  constructor(segments: ArrayBuffer[], limits = DEFAULT_LIMITS) {
    super(segments, limits);
    this._capnp.segments = segments.map((buffer, id) => new LentSegment(id, this, buffer, buffer.byteLength));
  }

  override allocateSegment(bytes: number): Segment {
    const last = this._capnp.segments.at(-1);
    return last?.hasCapacity(bytes) ? last : super.allocateSegment(bytes);
  }

  /** A struct that has one null pointer, and may be written. */
  blank(depthLimit: number): capnp.Struct {
    const { segment, byteOffset } = this.allocateSegment(2 * WORD_BYTES).allocate(2 * WORD_BYTES);
    const struct = new capnp.Struct(segment, byteOffset, depthLimit);
    capnp.utils.setStructPointer(0, new capnp.ObjectSize(0, 1), struct);
    return struct;
  }
}

/** Ends the use of a message whose memory belongs to somebody else now: reading and building throw an error. */
export function revoke(message: capnp.Message, why: string): void {
  const get = () => {
    throw new ShipmateError(why);
  };
  for (const segment of message._capnp.segments) Object.defineProperties(segment, { buffer: { get }, _dv: { get } });
}

/** Where to read what a pointer of a struct points to: elsewhere, if it is null, and cannot be written. */
function readable(index: number, struct: capnp.Struct): [number, capnp.Struct] {
  const pointer = getPointer(index, struct);
  if (!(pointer.segment instanceof LentSegment && isNull(pointer))) return [index, struct];
  return [0, (pointer.segment.message as LentReader).blank(struct._capnp.depthLimit)];
}

/** The struct that a pointer points to; an empty one for a null pointer. */
export function structAt<T extends capnp.Struct>(pointer: capnp.Pointer, type: capnp.StructCtor<T>): T {
  if (pointer.segment instanceof LentSegment && isNull(pointer)) {
    const { message } = pointer.segment;
    return structAt(getPointer(0, (message as LentReader).blank(pointer._capnp.depthLimit + 1)), type);
  }
  const struct = capnp.utils.getAs(type, pointer as capnp.Struct);
  if (capnp.utils.isNull(struct)) {
    capnp.utils.initStruct(type._capnp.size, struct);
    return struct;
  }
  capnp.utils.validate(capnp.PointerType.STRUCT, struct);
  const size = capnp.utils.getTargetStructSize(struct);
  const wanted = type._capnp.size;
  if (size.dataByteLength < wanted.dataByteLength || size.pointerLength < wanted.pointerLength) {
    const whole = new capnp.ObjectSize(
      Math.max(size.dataByteLength, wanted.dataByteLength),
      Math.max(size.pointerLength, wanted.pointerLength),
    );
    capnp.utils.resize(whole, struct);
  }
  return struct;
}

const { getPointer, isNull } = capnp.utils;

/** Leaves behind what a pointer of a struct points to, so that nothing of capnp-es tries to wipe it. */
function forget(index: number, struct: capnp.Struct): void {
  const pointer = getPointer(index, struct);
  if (!isNull(pointer)) pointer.segment.setWordZero(pointer.byteOffset);
}

/** capnp-es loses a byte order mark (U+FEFF) at the start of a text. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function decodeText(pointer: capnp.Pointer): string {
  if (isNull(pointer)) return "";
  const text = capnp.Text.fromPointer(pointer);
  const { segment, byteOffset } = capnp.utils.getContent(text);
  return decoder.decode(new Uint8Array(segment.buffer, byteOffset, text.length));
}

export class TextList extends capnp.TextList {
  override get(index: number): string {
    const { segment, byteOffset } = capnp.utils.getContent(this);
    return decodeText(new capnp.Pointer(segment, byteOffset + 8 * index, this._capnp.depthLimit - 1));
  }
}

/** capnp-es's functions for generated code. */
export const utils: typeof capnp.utils = {
  ...capnp.utils,

  /** capnp-es takes only the lower half of the default. */
  getInt32(byteOffset: number, struct: capnp.Struct, defaultMask?: DataView): number {
    const value = capnp.utils.getInt32(byteOffset, struct);
    return defaultMask === undefined ? value : value ^ defaultMask.getInt32(0, true);
  },

  getText(index: number, struct: capnp.Struct, defaultValue?: string): string {
    const pointer = getPointer(index, struct);
    return isNull(pointer) ? (defaultValue ?? "") : decodeText(pointer);
  },

  getStruct<T extends capnp.Struct>(
    index: number,
    type: capnp.StructCtor<T>,
    struct: capnp.Struct,
    defaultValue?: capnp.Pointer,
  ): T {
    const pointer = getPointer(...readable(index, struct));
    if (isNull(pointer) && defaultValue) capnp.utils.copyFrom(defaultValue, pointer);
    return structAt(pointer, type);
  },

  getList: (<T>(index: number, type: capnp.ListCtor<T>, struct: capnp.Struct, defaultValue?: capnp.Pointer) => {
    const [at, place] = readable(index, struct);
    return capnp.utils.getList(at, type, place, defaultValue);
  }) as typeof capnp.utils.getList,

  getData(index: number, struct: capnp.Struct, defaultValue?: capnp.Pointer): capnp.Data {
    return capnp.utils.getData(...readable(index, struct), defaultValue);
  },

  // Setting a second time: capnp-es wipes what was there, and takes the data of the structs in a list for
  // pointers while it does.
  initList: (<T>(index: number, type: capnp.ListCtor<T>, length: number, struct: capnp.Struct) => {
    forget(index, struct);
    return capnp.utils.initList(index, type, length, struct);
  }) as typeof capnp.utils.initList,

  initData(index: number, length: number, struct: capnp.Struct): capnp.Data {
    forget(index, struct);
    return capnp.utils.initData(index, length, struct);
  },

  initStructAt<T extends capnp.Struct>(index: number, type: capnp.StructCtor<T>, struct: capnp.Struct): T {
    forget(index, struct);
    return capnp.utils.initStructAt(index, type, struct);
  },

  setText(index: number, value: string, struct: capnp.Struct): void {
    forget(index, struct);
    capnp.utils.setText(index, value, struct);
  },

  copyFrom(value: capnp.Pointer, to: capnp.Pointer): void {
    if (value.segment === to.segment && value.byteOffset === to.byteOffset) return;
    to.segment.setWordZero(to.byteOffset);
    capnp.utils.copyFrom(value, to);
  },
};
