/** What generated code imports as `$`: Cap'n Proto's serialisation, and the classes of `rpc/` for capabilities. */

import { type Capability, capabilityAt } from "./rpc/capability.js";
import type { Client } from "./rpc/client.js";
import { List, type ListCtor, ListElementSize, Pointer, type Struct, utils as serial } from "./serial.js";

export type { Fill } from "./fill.js";
export { Call, type CallContext, type CallOptions, Client, Pipeline } from "./rpc/client.js";
export { type InterfaceType, interfaceType, type Reply } from "./rpc/interface.js";
export * from "./serial.js";

/** capnp-es's functions for generated code. */
export const utils: Omit<typeof serial, "getInterfaceClientOrNullAt"> & {
  getInterfaceClientOrNullAt(index: number, struct: Struct): Capability;
} = {
  ...serial,

  getInterfaceClientOrNullAt: (index, struct) => capabilityAt(serial.getPointer(index, struct)),
};

/** The class of lists of references to objects with an interface. */
export function ClientList<C extends Client>(ClientType: new (capability: Capability) => C): ListCtor<C> {
  return class extends List<C> {
    static override readonly _capnp = { displayName: `List<${ClientType.name}>`, size: ListElementSize.POINTER };

    override get(index: number): C {
      return new ClientType(capabilityAt(this.#at(index)));
    }

    override set(index: number, client: C): void {
      serial.setInterfacePointer(this.segment.message.addCap(client.$client), this.#at(index));
    }

    #at(index: number): Pointer {
      const { segment, byteOffset } = serial.getContent(this);
      return new Pointer(segment, byteOffset + 8 * index, this._capnp.depthLimit - 1);
    }
  };
}
