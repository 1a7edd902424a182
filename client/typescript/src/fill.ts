/** Structs from plain objects. */

import { Client } from "./rpc/client.js";
import { Data, List, MessageBuilder, type ObjectSize, Pointer, Struct, type StructCtor, utils } from "./serial.js";

/** The value of a field, as a plain object, array or typed array wherever Cap'n Proto has a struct, list or data. */
export type Init<T> = T extends Client
  ? T
  : T extends Data
    ? Uint8Array | T
    : T extends List<infer Element>
      ? ArrayLike<Init<Element>> | T
      : T extends Struct
        ? { [Field in FieldOf<T>]?: Init<T[Field]> } | T
        : T extends Pointer
          ? Pointer | Client
          : T;

/** How to fill in a struct: with a plain object, or with a function that sets its fields. */
export type Fill<T extends Struct> = { [Field in FieldOf<T>]?: Init<T[Field]> } | ((struct: T) => void);

type FieldOf<T extends Struct> = Exclude<keyof T & string, keyof Struct | `_${string}` | "which">;

/** A struct in a message of its own, to be given where a schema has `AnyPointer`. */
export function build<T extends Struct>(type: StructCtor<T>, values: Fill<T>): T {
  const struct = new MessageBuilder().initRoot(type);
  fill(struct, values);
  return struct;
}

/** Sets the fields of a struct. */
export function fill<T extends Struct>(struct: T, values: Fill<T>): void {
  if (typeof values === "function") {
    values(struct);
    return;
  }
  for (const [field, value] of Object.entries(values)) {
    if (value !== undefined) setField(struct as unknown as Record<string, unknown>, field, value);
  }
}

function setField(struct: Record<string, unknown>, field: string, value: unknown): void {
  if (!(field in struct)) throw new TypeError(`there is no field ${JSON.stringify(field)} in the struct`);
  if (typeof value !== "object" || value === null || value instanceof Pointer) {
    struct[field] = value;
  } else if (value instanceof Client) {
    setCapability(struct, field, value);
  } else {
    const init = struct[`_init${field.charAt(0).toUpperCase()}${field.slice(1)}`] as (length?: number) => Pointer;
    if (isArrayLike(value)) fillList(init.call(struct, value.length), value);
    else fill(init.call(struct) as Struct, value as Fill<Struct>);
  }
}

function setCapability(struct: Record<string, unknown>, field: string, client: Client): void {
  const target = struct[field];
  if (target instanceof Pointer) {
    // A field of the type `AnyPointer` or `Capability`.
    utils.setInterfacePointer(target.segment.message.addCap(client.$client), target);
  } else {
    struct[field] = client;
  }
}

function isArrayLike(value: object): value is ArrayLike<unknown> {
  return Array.isArray(value) || ArrayBuffer.isView(value);
}

function fillList(list: Pointer, values: ArrayLike<unknown>): void {
  if (list instanceof Data) {
    list.copyBuffer(values instanceof Uint8Array ? values : Uint8Array.from(values as ArrayLike<number>));
    return;
  }
  const elements = list as List<unknown>;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (typeof value !== "object" || value === null || value instanceof Pointer || value instanceof Client) {
      elements.set(index, value);
      continue;
    }
    const element = elements.get(index);
    if (element instanceof Struct) {
      fill(element, value as Fill<Struct>);
    } else if (element instanceof List && isArrayLike(value)) {
      initList(element, value.length);
      fillList(element, value);
    } else {
      throw new TypeError("an element of the list has the wrong type");
    }
  }
}

/** Makes a list where a pointer in a list is; capnp-es makes them only in the fields of structs. */
function initList(list: List<unknown>, length: number): void {
  const { size, compositeSize } = (list.constructor as unknown as { _capnp: ListType })._capnp;
  const elementSize = list instanceof Data ? BYTE : size;
  const tagBytes = compositeSize === undefined ? 0 : 8;
  const content = list.segment.allocate(utils.getListByteLength(elementSize, length, compositeSize) + tagBytes);
  if (compositeSize !== undefined) utils.setStructPointer(length, compositeSize, content);
  const made = utils.initPointer(content.segment, content.byteOffset, list);
  utils.setListPointer(made.offsetWords, elementSize, length, made.pointer, compositeSize);
}

interface ListType {
  readonly size: number;
  readonly compositeSize?: ObjectSize;
}

/** Cap'n Proto's encoding of lists: the elements are bytes. */
const BYTE = 2;
