#!/usr/bin/env node
/** `shipmate-generate`: TypeScript from plain schemas. */

import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { generate } from "./generate.js";

const USAGE = `Usage: shipmate-generate SCHEMA... --out FOLDER

Makes a TypeScript module of each schema (a .capnp file, or a folder of them) in the folder.
Needs the \`capnp\` tool (on Debian: apt-get install capnproto).`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { out: { type: "string", short: "o" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help || values.out === undefined || positionals.length === 0) {
    console.error(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  await mkdir(values.out, { recursive: true });
  for (const schema of (await Promise.all(positionals.map(schemasAt))).flat()) {
    const file = join(values.out, basename(schema).replace(/\.capnp$/, ".ts"));
    await writeFile(file, await generate(schema));
  }
}

async function schemasAt(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const names = await readdir(path);
  return names.filter((name) => name.endsWith(".capnp")).map((name) => join(path, name));
}

main().catch((error: unknown) => {
  console.error(`shipmate-generate: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});
