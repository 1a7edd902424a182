/** The addresses that need the C library `libshipmate`: what Node itself cannot reach. */

import { Socket } from "node:net";
import { type Address, formatAddress } from "./address.js";
import { AddressError, asError, Disconnected, ShipmateError, Unreachable } from "./errors.js";

/** The library's function, as `include/shipmate.h` has it; the result is a file descriptor, or -1. */
type Connect = (address: string, options: NativeOptions, error: NativeError) => Promise<number>;

interface NativeOptions {
  size: number;
  connect_timeout_ms: number;
  spin_us: number;
  mode: number;
  reserved: number;
}

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

/** `sizeof(struct shipmate_options)` where pointers have 64 bits. */
const OPTIONS_BYTES = 24;

let library: Promise<Connect> | undefined;

/** Gives one end of a pair of sockets, whose other end the library carries to the address. */
export async function connectNative(address: Address, timeoutMillis: number): Promise<Socket> {
  library ??= load();
  const connect = await library;
  const text = formatAddress(address);
  const error: NativeError = {};
  const options = { size: OPTIONS_BYTES, connect_timeout_ms: timeoutMillis, spin_us: 0, mode: 0, reserved: 0 };
  const fd = await connect(text, options, error);
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
    const options = koffi.struct({
      size: "size_t",
      connect_timeout_ms: "uint32_t",
      spin_us: "uint32_t",
      mode: "uint32_t",
      reserved: "uint32_t",
    });
    const error = koffi.struct({ code: "int", os_error: "int", message: koffi.array("char", 504, "String") });
    const connect = koffi
      .load(path)
      .func("shipmate_connect", "int", ["str", koffi.pointer(options), koffi.out(koffi.pointer(error))]);
    return (...args) =>
      new Promise((resolve, reject) => {
        // On another thread, as connecting may wait.
        connect.async(...args, (failure: unknown, fd: number) => {
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
