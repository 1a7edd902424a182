/** Flow control of streaming calls (`-> stream`). */

import { asError } from "../errors.js";
import { STREAM_WINDOW_BYTES } from "../limits.js";

/** Lets so many bytes be under way to a capability; who sends more waits for what was handled. */
export class StreamWindow {
  #underWay = 0;
  #failed: Error | undefined;
  #waiting: (() => void)[] = [];

  constructor(private readonly windowBytes = STREAM_WINDOW_BYTES) {}

  /** Why an earlier call of the stream failed: the stream is over then. */
  get failed(): Error | undefined {
    return this.#failed;
  }

  /** Takes note of a call that was sent. Resolves when there is room for the next. */
  async sent(bytes: number, handled: Promise<unknown>): Promise<void> {
    this.#underWay += bytes;
    handled.then(
      () => this.#wake(bytes),
      (error: unknown) => {
        this.#failed ??= asError(error);
        this.#wake(bytes);
      },
    );
    while (this.#underWay >= this.windowBytes && this.#failed === undefined) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#failed !== undefined) throw this.#failed;
  }

  #wake(bytes: number): void {
    this.#underWay -= bytes;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
