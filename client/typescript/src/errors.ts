/** What can go wrong, by type: whose fault it is and what to do next. */

/** The base of every error of this package. */
export class ShipmateError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** An address that cannot be understood. */
export class AddressError extends ShipmateError {
  constructor(
    readonly given: string,
    /** The right form. */
    readonly expected: string,
  ) {
    super(`${JSON.stringify(given)} is not an address: write ${expected}`);
  }
}

/** Nobody answers at the address. */
export class Unreachable extends ShipmateError {
  constructor(
    readonly address: string,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`nobody answers at ${address}: ${reason}`, options);
  }
}

/** The connection is gone: it was closed, or the peer died, was lost or broke the protocol. */
export class Disconnected extends ShipmateError {
  constructor(
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`the connection is gone: ${reason}`, options);
  }
}

/** There was no answer within the time allowed, and the call was cancelled, at the server too; or no message. */
export class Deadline extends ShipmateError {
  constructor(
    readonly millis: number,
    text = `no answer within ${millis} ms: the call was cancelled`,
  ) {
    super(text);
  }
}

/** The kinds of error that a service can answer with. (Cap'n Proto's `disconnected` is {@link Disconnected}.) */
export type ServiceErrorKind = "failed" | "overloaded" | "unimplemented";

/** The service answered with an exception. A service throws one to choose the kind that its caller sees. */
export class ServiceError extends ShipmateError {
  constructor(
    readonly kind: ServiceErrorKind,
    /** The service's own words. */
    readonly reason: string,
  ) {
    super(`the service answered: ${kind}: ${reason}`);
  }
}

/** Something is larger than {@link Limits} allow. Nothing of it was sent. */
export class LimitError extends ShipmateError {
  constructor(
    /** The field of `Limits`. */
    readonly limit: string,
    readonly allowed: number,
    readonly seen: number,
    advice: string,
  ) {
    super(`the limit ${limit} is ${allowed}, and this would take ${seen}: ${advice}`);
  }
}

/** What was thrown, as an `Error`. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
