/** What generated code imports as `$`: Cap'n Proto's serialisation, and the classes of `rpc/` for capabilities. */

import { type Capability, capabilityAt } from "./rpc/capability.js";
import { type Struct, utils as serial } from "./serial.js";

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
