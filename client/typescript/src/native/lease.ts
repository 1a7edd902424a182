/** Messages in memory of the library. */

import type { Address, Library } from "./library.js";

interface Loan {
  readonly library: Library;
  readonly message: Address;
  /** So many segments are still used. */
  used: number;
}

/** Gives back what was forgotten: messages of whose memory nothing is left. */
const forgotten = new FinalizationRegistry((loan: Loan) => {
  loan.used--;
  if (loan.used === 0) giveBack(loan);
});

/** A message that the library lends, until it is released, or nothing of its memory is referred to any more. */
export class NativeLease {
  readonly segments: readonly ArrayBuffer[];
  readonly #loan: Loan;

  constructor(library: Library, message: Address) {
    this.segments = library.segments(message);
    this.#loan = { library, message, used: this.segments.length };
    for (const segment of this.segments) forgotten.register(segment, this.#loan, this.#loan);
  }

  /** A copy, and the memory goes back. */
  own(): ArrayBuffer[] {
    const copies = this.segments.map((segment) => segment.slice(0));
    this.release();
    return copies;
  }

  release(): void {
    if (!forgotten.unregister(this.#loan)) return;
    this.segments.forEach(detach);
    giveBack(this.#loan);
  }
}

/** Leaves an `ArrayBuffer` without its memory, if this Node can (22 and later): its views are then empty. */
export function detach(buffer: ArrayBuffer & { transfer?(): ArrayBuffer }): void {
  buffer.transfer?.();
}

function giveBack({ library, message }: Loan): void {
  library.call("message_return", message);
}
