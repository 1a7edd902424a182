/** Waiting for something that comes, if at all, when it likes. */

import { asError, Deadline } from "./errors.js";

/** How long to wait for something. */
export interface WaitOptions {
  /** Waiting fails with `Deadline` after so long. Nothing is lost by it: what comes later is there for the next. */
  readonly deadlineMillis?: number;
  /** Ends waiting, with the signal's reason. Nothing is lost by it either. */
  readonly signal?: AbortSignal;
}

/** Calls `giveUp` when the time is over or the signal says so. Gives what ends that. */
export function watch(options: WaitOptions, giveUp: (error: Error) => void, text?: (millis: number) => string) {
  const { deadlineMillis, signal } = options;
  const onAbort = () => giveUp(asError(signal?.reason));
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer =
    deadlineMillis === undefined
      ? undefined
      : setTimeout(() => giveUp(new Deadline(deadlineMillis, text?.(deadlineMillis))), deadlineMillis);
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
}

/** A promise for somebody who may stop waiting for it. */
export class Waiting<T> {
  readonly promise: Promise<T>;
  #isOver = false;
  #settle: Settle<T> | undefined;
  #stopWatching: (() => void) | undefined;

  /** `what` is what does not come when the time is over; `onGivenUp` is called if that, or the signal, ends the waiting. */
  constructor(options: WaitOptions, what: string, onGivenUp?: () => void) {
    this.promise = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    const giveUp = (error: Error) => {
      if (this.reject(error)) onGivenUp?.();
    };
    if (options.signal?.aborted) giveUp(asError(options.signal.reason));
    else this.#stopWatching = watch(options, giveUp, (millis) => `no ${what} within ${millis} ms`);
  }

  /** Whether nobody waits any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Gives what was waited for. `false` says that nobody waits any more, so that it is for the next. */
  resolve(value: T): boolean {
    return this.#end((settle) => settle.resolve(value));
  }

  reject(error: Error): boolean {
    return this.#end((settle) => settle.reject(error));
  }

  #end(how: (settle: Settle<T>) => void): boolean {
    if (this.#isOver || this.#settle === undefined) return false;
    this.#isOver = true;
    this.#stopWatching?.();
    how(this.#settle);
    return true;
  }
}

interface Settle<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

/** What came and was not taken, and who waits for what has not come, in their orders. */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #takers: Waiting<T | undefined>[] = [];
  #end: { readonly error: Error | undefined } | undefined;

  /** `what` is waited for; `onEmpty` is called when somebody waits and nothing is there. */
  constructor(
    private readonly what: string,
    private readonly onEmpty: () => void = () => {},
  ) {}

  put(item: T): void {
    this.#items.push(item);
    this.#deliver();
  }

  /** Nothing comes any more: who waits, and the next ones, get what is there, and then `undefined` or this error. */
  end(error?: Error): void {
    this.#end ??= { error };
    this.#deliver();
  }

  take(options: WaitOptions): Promise<T | undefined> {
    const taker = new Waiting<T | undefined>(options, this.what);
    this.#takers.push(taker);
    this.#deliver();
    return taker.promise;
  }

  /** What nobody has taken. */
  empty(): T[] {
    return this.#items.splice(0);
  }

  #deliver(): void {
    for (;;) {
      while (this.#takers[0]?.isOver) this.#takers.shift();
      const [taker] = this.#takers;
      if (taker === undefined) return;
      if (this.#items.length > 0) {
        taker.resolve(this.#items.shift());
      } else if (this.#end === undefined) {
        this.onEmpty();
        return;
      } else if (this.#end.error === undefined) {
        taker.resolve(undefined);
      } else {
        taker.reject(this.#end.error);
      }
    }
  }
}

/** One thing after the other. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;

  /** Does it when all before is done: now, if nothing is. */
  async take<T>(work: () => T | Promise<T>): Promise<T> {
    if (this.#isTaken) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#isTaken = true;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#isTaken = false;
      else next();
    }
  }
}
