/** Comparing what was seen with what was expected. */

import { isDeepStrictEqual } from "node:util";

/** What differs, in the words that are printed after `FAILED STEP:`. */
export class Mismatch extends Error {}

export function is<T>(what: string, seen: T, expected: NoInfer<T>): void {
  if (!isDeepStrictEqual(seen, expected)) {
    throw new Mismatch(`${what}: expected ${show(expected)} and saw ${show(seen)}`);
  }
}

/** The same for values that are too long to be shown. */
export function isSame(what: string, seen: ArrayLike<unknown>, expected: ArrayLike<unknown>): void {
  is(`the length of ${what}`, seen.length, expected.length);
  if (seen instanceof Uint8Array && expected instanceof Uint8Array && Buffer.compare(seen, expected) === 0) return;
  for (let index = 0; index < expected.length; index++) {
    if (seen[index] !== expected[index]) is(`element ${index} of ${what}`, seen[index], expected[index]);
  }
}

/** What should fail, and the error that it should fail with. */
export async function failsWith<E extends Error>(
  what: string,
  call: PromiseLike<unknown>,
  type: new (...args: never[]) => E,
): Promise<E> {
  try {
    await call;
  } catch (error) {
    if (error instanceof type) return error;
    throw new Mismatch(`${what}: ${type.name} was expected, and this was seen: ${error}`);
  }
  throw new Mismatch(`${what}: ${type.name} was expected, and it succeeded`);
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}n` : part)) ?? String(value);
}
