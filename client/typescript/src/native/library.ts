/** The C library `libshipmate`: its functions, as `include/shipmate.h` has them, and its errors. */

import type { KoffiFunc, TypeObject } from "koffi";
import { AddressError, asError, Disconnected, ShipmateError, Unreachable } from "../errors.js";

/** How large parts of messages go over shared memory; what both sides take is used. Other transports copy. */
export type Tier =
  /** The receiver copies once, and then looks: safe with a hostile peer. */
  | "copy"
  /** 4 MiB and more are sealed by the kernel against any change, and received in place. */
  | "sealed"
  /** 32 KiB and more are received where the sender has built them: between processes of one user. */
  | "trusted";

/** `enum shipmate_tier` */
const TIERS = { copy: 0, sealed: 1, trusted: 2 } as const;

/** `enum shipmate_error_code` */
export const CODE = { ADDRESS: 1, UNREACHABLE: 2, DISCONNECTED: 4, PROTOCOL: 5, LIMIT: 6, DEADLINE: 7 } as const;

/** `struct shipmate_options` */
export interface NativeOptions {
  readonly size: number;
  readonly connect_timeout_ms: number;
  readonly spin_us: number;
  readonly mode: number;
  readonly tier: number;
}

/** `sizeof(struct shipmate_options)` where pointers have 64 bits. */
const OPTIONS_BYTES = 24;

/** @throws {TypeError} for a tier that there is none of. */
export function nativeOptions(given: {
  readonly timeoutMillis?: number | undefined;
  readonly tier?: Tier | undefined;
  readonly spinMicros?: number | undefined;
}): NativeOptions {
  const { timeoutMillis = 0, tier = "copy", spinMicros = 0 } = given;
  if (!Object.hasOwn(TIERS, tier)) {
    throw new TypeError(`the tier ${JSON.stringify(tier)} is none of ${Object.keys(TIERS).join(", ")}`);
  }
  return { size: OPTIONS_BYTES, connect_timeout_ms: timeoutMillis, spin_us: spinMicros, mode: 0, tier: TIERS[tier] };
}

/** A pointer or a handle, as an address. */
export type Address = bigint;

/** What goes into a function. All of it may be sent to another thread. */
export type Argument = Address | number | string | NativeOptions;

/** A function, and what goes into it. */
export type Call = readonly [FunctionName, ...Argument[]];

/** What came of calling a function. */
export interface Outcome {
  /** What it returned. */
  readonly result: number | string | null;
  /** What it put where its arguments point to. */
  readonly given: readonly Address[];
  /** What went wrong. */
  readonly error?: NativeError;
}

/** `struct shipmate_error` */
export interface NativeError {
  readonly code: number;
  readonly message: string;
}

interface Signature {
  readonly result: "int" | "void" | "str" | "uint64_t";
  /** What it takes; after that come what it gives, and the error, if it can fail. */
  readonly takes: readonly ("str" | "options" | "pointer" | "int" | "uint" | "size_t")[];
  readonly gives?: number;
  readonly fails?: true;
}

const OPENS = { result: "int", gives: 1, fails: true } as const;

type NativeFunction = KoffiFunc<(...args: unknown[]) => number | string | undefined>;

/** Every function that is used, without the `shipmate_` in front. */
const SIGNATURES = {
  connect: { result: "int", takes: ["str", "options"], fails: true },

  sender_open: { ...OPENS, takes: ["str", "options"] },
  sender_send: { result: "int", takes: ["pointer", "pointer", "size_t"], fails: true },
  sender_loan: { result: "int", takes: ["pointer", "size_t"], gives: 2, fails: true },
  loan_publish: { result: "int", takes: ["pointer", "size_t"], fails: true },
  loan_cancel: { result: "void", takes: ["pointer"] },
  sender_close: { result: "int", takes: ["pointer"], fails: true },

  receiver_listen: { ...OPENS, takes: ["str", "options"] },
  listener_address: { result: "str", takes: ["pointer"] },
  receiver_accept: { ...OPENS, takes: ["pointer", "int"] },
  listener_close: { result: "void", takes: ["pointer"] },
  receiver_receive: { ...OPENS, takes: ["pointer", "int"] },
  message_return: { result: "void", takes: ["pointer"] },
  receiver_close: { result: "void", takes: ["pointer"] },

  publisher_open: { ...OPENS, takes: ["str", "size_t", "options"] },
  publisher_wait: { result: "int", takes: ["pointer", "size_t", "int"], fails: true },
  publisher_publish: { result: "int", takes: ["pointer", "pointer", "size_t"], fails: true },
  publisher_close: { result: "int", takes: ["pointer"], fails: true },
  subscriber_open: { ...OPENS, takes: ["str", "uint", "options"] },
  subscriber_receive: { ...OPENS, takes: ["pointer", "int"] },
  subscriber_lost: { result: "uint64_t", takes: ["pointer"] },
  subscriber_close: { result: "void", takes: ["pointer"] },
} satisfies Record<string, Signature>;

export type FunctionName = keyof typeof SIGNATURES;

/** The library, as this thread has loaded it. */
export class Library {
  readonly #functions = new Map<FunctionName, NativeFunction>();
  readonly #message: TypeObject;
  readonly #segment: TypeObject;

  private constructor(
    private readonly koffi: typeof import("koffi").default,
    /** Its file. */
    readonly path: string,
  ) {
    const pointer = koffi.pointer("void");
    const types = {
      str: "str",
      pointer,
      int: "int",
      uint: "unsigned int",
      size_t: "size_t",
      options: koffi.pointer(
        koffi.struct({
          size: "size_t",
          connect_timeout_ms: "uint32_t",
          spin_us: "uint32_t",
          mode: "uint32_t",
          tier: "uint32_t",
        }),
      ),
    };
    const given = koffi.out(koffi.pointer(pointer));
    const error = koffi.out(
      koffi.pointer(koffi.struct({ code: "int", os_error: "int", message: koffi.array("char", 504, "String") })),
    );
    const loaded = koffi.load(path);
    for (const [name, signature] of Object.entries<Signature>(SIGNATURES)) {
      const takes = signature.takes.map((type) => types[type]);
      const gives = new Array(signature.gives ?? 0).fill(given);
      const fails = signature.fails ? [error] : [];
      const found = loaded.func(`shipmate_${name}`, signature.result, [...takes, ...gives, ...fails]);
      this.#functions.set(name as FunctionName, found);
    }
    this.#message = koffi.struct({ segment_count: "size_t", segments: pointer });
    this.#segment = koffi.struct({ data: pointer, size: "size_t" });
  }

  /** The library, which is loaded when it is first asked for. */
  static get(): Promise<Library> {
    loaded ??= Library.load(process.env.SHIPMATE_LIBRARY ?? "libshipmate.so").catch((error) => {
      loaded = undefined;
      throw error;
    });
    return loaded;
  }

  static async load(path: string): Promise<Library> {
    try {
      const { default: koffi } = await import("koffi");
      return new Library(koffi, path);
    } catch (cause) {
      throw new ShipmateError(
        "pipe:, shm:, auto: and unix:@name addresses need libshipmate and the package koffi: build the library with " +
          "`cargo build --release -p shipmate-ffi`, set SHIPMATE_LIBRARY to its path, and `npm install koffi`; " +
          `or use a tcp: or unix:/path address (${asError(cause).message})`,
        { cause },
      );
    }
  }

  /** Calls a function, on this thread. */
  call(...[name, ...args]: Call): Outcome {
    const { gives = 0, fails }: Signature = SIGNATURES[name];
    const given = Array.from({ length: gives }, () => [null] as [Address | null]);
    const error = {} as NativeError;
    const call = this.#functions.get(name) as NativeFunction;
    const result = call(...args, ...given, ...(fails ? [error] : [])) ?? null;
    const outcome = { result, given: given.map(([address]) => address ?? 0n) };
    return result === -1 && fails ? { ...outcome, error } : outcome;
  }

  /** The segments of a message (`struct shipmate_message`), where they are. */
  segments(message: Address): ArrayBuffer[] {
    const { segment_count, segments } = this.koffi.decode(message, this.#message);
    const places: { data: Address | null; size: number }[] = this.koffi.decode(segments, this.#segment, segment_count);
    return places.map(({ data, size }) => (size === 0 ? new ArrayBuffer(0) : this.view(data ?? 0n, size)));
  }

  /** Ends this program now, whatever its threads wait for. */
  exit(code: number): void {
    this.koffi.load(null).func("_exit", "void", ["int"])(code);
  }

  /** Memory of the library, as an `ArrayBuffer` that is it. */
  view(memory: Address, bytes: number): ArrayBuffer {
    return this.koffi.view(memory, bytes);
  }

  /** Where memory of this program is, for as long as somebody keeps it. */
  addressOf(memory: ArrayBuffer): Address {
    return this.koffi.address(memory);
  }
}

let loaded: Promise<Library> | undefined;

/** The error of a function that was called for an address. */
export function errorOf({ code, message }: NativeError, address: string): ShipmateError {
  switch (code) {
    case CODE.ADDRESS:
      return new AddressError(address, message);
    case CODE.UNREACHABLE:
    case CODE.DEADLINE:
      return new Unreachable(address, message);
    case CODE.DISCONNECTED:
      return new Disconnected(message);
    case CODE.PROTOCOL:
      return new Disconnected(`the peer broke the protocol: ${message}`);
    default:
      return new ShipmateError(message);
  }
}
