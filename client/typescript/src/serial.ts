/** capnp-es, with what is wrong in it mended. Every other file takes Cap'n Proto's serialisation from here. */

import * as capnp from "capnp-es";
import { DEFAULT_LIMITS } from "./limits.js";

export * from "capnp-es";

/**
 * A message to build.
 *
 * It is one segment, which doubles: capnp-es would copy the whole for every 4 KiB more.
 */
export class MessageBuilder extends capnp.Message {
  constructor() {
    super();
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

/** capnp-es's kind of arena for several segments; it exports neither the class nor the constant. */
const MULTI_SEGMENT = 1;

/** The struct that a pointer points to; an empty one for a null pointer. */
export function structAt<T extends capnp.Struct>(pointer: capnp.Pointer, type: capnp.StructCtor<T>): T {
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
    const pointer = getPointer(index, struct);
    if (isNull(pointer) && defaultValue) capnp.utils.copyFrom(defaultValue, pointer);
    return structAt(pointer, type);
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
