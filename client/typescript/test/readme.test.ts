/** The README is true: its programs compile, and the first one runs. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import ts from "typescript";
import { DIST, outputOf, Shipmated, start } from "./harness.js";

const PACKAGE = join(DIST, "..");
const PROGRAMS = [...readFileSync(join(PACKAGE, "README.md"), "utf8").matchAll(/^```ts\n(.*?)^```/gms)].map(
  ([, program]) => program ?? "",
);

test("the programs of the README compile", { timeout: 120_000 }, () => {
  const { config } = ts.readConfigFile(join(PACKAGE, "tsconfig.base.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, PACKAGE);
  const files = new Map(PROGRAMS.map((program, index) => [join(PACKAGE, "samples", `readme-${index}.ts`), program]));
  assert.ok(files.size >= 5);
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists } = host;
  host.readFile = (file) => files.get(file) ?? readFile(file);
  host.fileExists = (file) => files.has(file) || fileExists(file);
  const { getSourceFile } = host;
  host.getSourceFile = (file, target, ...rest) => {
    const program = files.get(file);
    return program === undefined
      ? getSourceFile(file, target, ...rest)
      : ts.createSourceFile(file, program, target, true);
  };
  const program = ts.createProgram([...files.keys()], { ...options, composite: false, noEmit: true }, host);
  const wrong = ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    return `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
  assert.deepEqual(wrong, []);
});

test("the first program of the README runs, and is short", { timeout: 60_000 }, async (t) => {
  const server = await Shipmated.start(t, "tcp:127.0.0.1:0", "arith");
  const program = PROGRAMS[0] ?? "";
  assert.ok(program.split("\n").length <= 16);
  // In the package, so that its name is found, and beside the compiled schemas.
  const folder = mkdtempSync(join(DIST, "samples/readme-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "first.js");
  writeFileSync(
    file,
    program.replace("unix:/tmp/ship.sock", server.address).replace("./schema/arith.js", "../schema/arith.js"),
  );
  assert.deepEqual(await outputOf(start(t, process.execPath, [file])), { lines: ["42n"], code: 0 });
});
