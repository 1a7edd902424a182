/** Real servers for tests, in folders of their own, and nothing left behind. */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Duplex, type Readable } from "node:stream";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const REPOSITORY = fileURLToPath(new URL("../../../..", import.meta.url));
/** This package's programs, as compiled. */
export const DIST = fileURLToPath(new URL("..", import.meta.url));

/** The path of one of the repository's programs: from $SHIPMATED, or built when it is missing. */
export function program(name: "shipmated" | "shipmate"): string {
  const given = process.env.SHIPMATED;
  if (given !== undefined) return name === "shipmated" ? given : join(given, "..", name);
  const built = join(REPOSITORY, "target/debug", name);
  if (!existsSync(built)) execFileSync("cargo", ["build", "--bins"], { cwd: REPOSITORY, stdio: "inherit" });
  return built;
}

/** The path of the C library: from $SHIPMATE_LIBRARY, or built when it is missing. */
export function library(): string {
  const given = process.env.SHIPMATE_LIBRARY;
  if (given !== undefined) return given;
  const built = join(REPOSITORY, "target/debug/libshipmate.so");
  if (!existsSync(built)) execFileSync("cargo", ["build", "-p", "shipmate-ffi"], { cwd: REPOSITORY, stdio: "inherit" });
  return built;
}

/** A folder that is removed after the test. */
export function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "shipmate-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** A program of this test, killed after it if it still runs. */
export function start(
  t: TestContext,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess & Running {
  const child = spawn(command, args, { stdio: "pipe", env: { ...process.env, ...env } }) as ChildProcess & Running;
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  child.said = () => said;
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  return child;
}

interface Running {
  stdin: NonNullable<ChildProcess["stdin"]>;
  stdout: Readable;
  stderr: Readable;
  /** What it has said on standard error. */
  said(): string;
}

/** Its lines on standard output, and the exit code. */
export async function outputOf(child: ChildProcess & Running): Promise<{ lines: string[]; code: number | null }> {
  const exit = once(child, "exit");
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) lines.push(line);
  const [code] = await exit;
  return { lines, code };
}

/** Waits for a line that matches; gives what the first group has. */
export async function lineOf(from: Readable, pattern: RegExp): Promise<string> {
  const lines = createInterface({ input: from });
  try {
    for await (const line of lines) {
      const match = pattern.exec(line);
      if (match !== null) return match[1] ?? line;
    }
    return assert.fail(`no line like ${pattern}`);
  } finally {
    lines.close();
    from.resume();
  }
}

/** A running `shipmated`. */
export class Shipmated {
  #child: (ChildProcess & Running) | undefined;
  /** Where it listens. */
  address = "";

  constructor(
    private readonly t: TestContext,
    private readonly listen: string,
    private readonly service: string,
  ) {}

  static async start(t: TestContext, listen: string, service: string): Promise<Shipmated> {
    const server = new Shipmated(t, listen, service);
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const child = start(this.t, program("shipmated"), ["--listen", `${this.address || this.listen}=${this.service}`]);
    this.#child = child;
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const [, address] = /^shipmated: listening at (\S+)/.exec(line) ?? [];
      if (address !== undefined) this.address = address;
      if (line === "shipmated: ready") break;
    }
    assert.notEqual(this.address, "", `shipmated did not start: ${child.said()}`);
    child.stdout.resume();
  }

  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }
}

/** A `tcp:` and a `unix:` address to listen at. */
export const TRANSPORTS: [string, (t: TestContext) => string][] = [
  ["tcp", () => "tcp:127.0.0.1:0"],
  ["unix", (t) => `unix:${join(folder(t), "ship.sock")}`],
];

/** The error that something fails with. */
export async function errorOf(failing: PromiseLike<unknown>): Promise<unknown> {
  try {
    await failing;
  } catch (error) {
    return error;
  }
  return assert.fail("it should have failed");
}

/** Waits until something is so; the time limit of the test ends it. */
export async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Two ends of a stream in memory, as `duplexPair` of Node 20.17 and later gives. */
export function streamPair(): [Duplex, Duplex] {
  const near = new End();
  const far = new End();
  near.other = far;
  far.other = near;
  return [near, far];
}

class End extends Duplex {
  other: End | undefined;
  #isRead: (() => void) | undefined;

  override _read(): void {
    const isRead = this.#isRead;
    this.#isRead = undefined;
    isRead?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.other === undefined) return;
    if (chunk.length === 0) {
      process.nextTick(done);
      return;
    }
    this.other.#isRead = done;
    this.other.push(chunk);
  }

  override _final(done: () => void): void {
    this.other?.on("end", done);
    this.other?.push(null);
  }
}
