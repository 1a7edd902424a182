/** Errors on the wire: a kind and a reason. */

import { Exception } from "capnp-es/capnp/rpc";
import { Deadline, Disconnected, LimitError, ServiceError, type ServiceErrorKind, Unreachable } from "../errors.js";

const KINDS: readonly [number, ServiceErrorKind][] = [
  [Exception.Type.FAILED, "failed"],
  [Exception.Type.OVERLOADED, "overloaded"],
  [Exception.Type.UNIMPLEMENTED, "unimplemented"],
];

/** What some implementations put in front of the reason of an error that they pass on. */
const PREFIXES = /^(?:remote exception: )+/;

export function readException(exception: Exception): ServiceError | Disconnected {
  const reason = exception.reason.replace(PREFIXES, "");
  if (exception.type === Exception.Type.DISCONNECTED) return new Disconnected(reason);
  const [, kind = "failed"] = KINDS.find(([type]) => type === exception.type) ?? [];
  return new ServiceError(kind, reason);
}

export function writeException(to: Exception, error: Error): void {
  to.reason = error instanceof ServiceError || error instanceof Disconnected ? error.reason : error.message;
  to.type = typeOf(error) as Exception["type"];
}

function typeOf(error: Error): number {
  if (error instanceof Disconnected || error instanceof Unreachable) return Exception.Type.DISCONNECTED;
  if (error instanceof LimitError || error instanceof Deadline) return Exception.Type.OVERLOADED;
  const kind = error instanceof ServiceError ? error.kind : "failed";
  return KINDS.find(([, name]) => name === kind)?.[0] ?? Exception.Type.FAILED;
}
