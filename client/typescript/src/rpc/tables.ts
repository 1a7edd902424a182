/** The tables of a connection, whose indices are the ids on the wire. */

import type { Capability } from "./capability.js";
import { LocalCapability } from "./interface.js";

/** Gives ids, the lowest first: the peer's tables are arrays. */
export class IdTable<T> {
  readonly #entries = new Map<number, T>();
  readonly #free: number[] = [];

  create(make: (id: number) => T): T {
    const id = this.#free.pop() ?? this.#entries.size;
    const entry = make(id);
    this.#entries.set(id, entry);
    return entry;
  }

  add(make: (id: number) => T): number {
    const id = this.#free.at(-1) ?? this.#entries.size;
    this.create(make);
    return id;
  }

  get(id: number): T | undefined {
    return this.#entries.get(id);
  }

  delete(id: number): void {
    if (this.#entries.delete(id)) this.#free.push(id);
  }

  /** Empties it; gives what was in it. */
  clear(): T[] {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#free.length = 0;
    return entries;
  }

  get size(): number {
    return this.#entries.size;
  }
}

interface Export {
  readonly capability: Capability;
  references: number;
}

/** The capabilities that the peer has references to. */
export class Exports {
  readonly #table = new IdTable<Export>();
  readonly #ids = new Map<Capability, number>();

  /** One reference more. */
  add(capability: Capability): number {
    const known = this.#ids.get(capability);
    const entry = known === undefined ? undefined : this.#table.get(known);
    if (known !== undefined && entry !== undefined) {
      entry.references++;
      return known;
    }
    const id = this.#table.add(() => ({ capability, references: 1 }));
    this.#ids.set(capability, id);
    if (capability instanceof LocalCapability) capability.refer();
    return id;
  }

  get(id: number): Capability {
    const entry = this.#table.get(id);
    if (entry === undefined) throw new Error(`export ${id} is none`);
    return entry.capability;
  }

  release(id: number, count: number): void {
    const entry = this.#table.get(id);
    if (entry === undefined || entry.references < count) throw new Error(`export ${id} is released too often`);
    entry.references -= count;
    if (entry.references > 0) return;
    this.#table.delete(id);
    this.#ids.delete(entry.capability);
    if (entry.capability instanceof LocalCapability) entry.capability.unrefer();
  }

  /** The peer is gone, and all of its references. */
  clear(): void {
    this.#ids.clear();
    for (const { capability } of this.#table.clear()) {
      if (capability instanceof LocalCapability) capability.unrefer();
    }
  }
}
