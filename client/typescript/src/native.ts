/** The addresses that need the C library `libshipmate`: what Node itself cannot reach. */

import { Socket } from "node:net";
import { type Address, formatAddress } from "./address.js";
import { AddressError, asError, Disconnected, ShipmateError, Unreachable } from "./errors.js";

/** The library's function, as `include/shipmate.h` has it. */
type Connect = (address: string, error: NativeError) => Promise<number>;

interface NativeError {
  code?: number;
  os_error?: number;
  message?: string;
}

/** `enum shipmate_error_code` */
const ADDRESS = 1;
const UNREACHABLE = 2;
const DISCONNECTED = 4;
const DEADLINE = 7;

let library: Promise<Connect> | undefined;

/** Gives one end of a pair of sockets, whose other end the library carries to the address. */
export async function connectNative(address: Address): Promise<Socket> {
  library ??= load();
  const connect = await library;
  const text = formatAddress(address);
  const error: NativeError = {};
  const fd = await connect(text, error);
  if (fd >= 0) return new Socket({ fd });
  const message = error.message ?? "libshipmate failed";
  switch (error.code) {
    case ADDRESS:
      throw new AddressError(text, message);
    case UNREACHABLE:
    case DEADLINE:
      throw new Unreachable(text, message);
    case DISCONNECTED:
      throw new Disconnected(message);
    default:
      throw new ShipmateError(message);
  }
}

async function load(): Promise<Connect> {
  const path = process.env.SHIPMATE_LIBRARY ?? "libshipmate.so";
  try {
    const { default: koffi } = await import("koffi");
    koffi.struct("shipmate_error", { code: "int", os_error: "int", message: koffi.array("char", 504, "String") });
    const connect = koffi
      .load(path)
      .func("int shipmate_connect(const char *address, const void *options, _Out_ shipmate_error *error)");
    return (address, error) =>
      new Promise((resolve, reject) => {
        // On another thread, as connecting may wait.
        connect.async(address, null, error, (failure: unknown, fd: number) => {
          if (failure) reject(asError(failure));
          else resolve(fd);
        });
      });
  } catch (cause) {
    library = undefined;
    throw new ShipmateError(
      "pipe:, shm:, auto: and unix:@name addresses need libshipmate and the package koffi: build the library with " +
        "`cargo build --release -p shipmate-ffi`, set SHIPMATE_LIBRARY to its path, and `npm install koffi`; " +
        `or use a tcp: or unix:/path address (${asError(cause).message})`,
      { cause },
    );
  }
}
