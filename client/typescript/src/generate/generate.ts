/**
 * A TypeScript module from a schema: capnp-es makes the structs and enums, and the code for interfaces is ours.
 */

import { spawnSync } from "node:child_process";
import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CodeGeneratorRequest } from "capnp-es/capnp/schema";
import { compileAll } from "capnp-es/compiler";
import ts from "typescript";
import { Message } from "../serial.js";
import { interfaceCode } from "./interfaces.js";
import { Nodes } from "./nodes.js";

export async function generate(schema: string): Promise<string> {
  const request = compile(schema);
  const nodes = new Nodes(new Message(request, false).getRoot(CodeGeneratorRequest));
  const { files } = await compileAll(request, { ts: true });
  const [code] = files.values();
  if (code === undefined || files.size !== 1) throw new Error(`${schema}: one module was expected`);
  return mend(code, basename(schema), nodes);
}

/** What Cap'n Proto's compiler makes of the schema: a `CodeGeneratorRequest`. */
function compile(schema: string): Buffer {
  // In the schema's folder, so that its name in the request is the plain one, as imports have it.
  const include = fileURLToPath(new URL("../../../include", import.meta.url));
  const args = ["compile", "-o-", `--import-path=${include}`, basename(schema)];
  const cwd = resolve(dirname(schema));
  const run = spawnSync("capnp", args, { cwd, env: { ...process.env, PWD: cwd }, maxBuffer: 1 << 30 });
  if (run.error !== undefined) {
    throw new Error(`the \`capnp\` tool is missing (on Debian: apt-get install capnproto): ${run.error.message}`);
  }
  if (run.status !== 0) throw new Error(run.stderr.toString());
  return run.stdout;
}

/** Puts our code for interfaces in the place of capnp-es's. */
function mend(code: string, schema: string, nodes: Nodes): string {
  const source = ts.createSourceFile("generated.ts", code, ts.ScriptTarget.Latest, true);
  const parts: string[] = [];
  const made = new Set<bigint>();
  for (const statement of source.statements) {
    const name = nameOf(statement);
    const node = nodes.interfaceNamed(name);
    if (node !== undefined) parts.push(interfaceCode(node, nodes, made));
    else if (!isOfInterface(name, statement.getText())) parts.push(statement.getFullText());
  }
  return `// Made by shipmate-generate from ${schema}, with capnp-es for the structs. Do not edit it.
/* eslint-disable */
${mendStructs(parts.join("\n"), imports(nodes))}`;
}

function mendStructs(code: string, imports: string): string {
  return (
    code
      .replace(/^.*\nimport \* as \$ from "capnp-es";/, `import * as $ from "shipmate/capnp";${imports}`)
      // The setters of capabilities: a method of an interface may be called `client`.
      .replaceAll(".addCap(value.client)", ".addCap(value.$client)")
      // Lists of capabilities, whose elements are plain pointers to capnp-es.
      .replaceAll(
        /(: \$\.List<(\w+)> \{\s+return \$\.utils\.\w+\(\d+, )\$\.InterfaceList/g,
        "$1$$.ClientList($2$$Client)",
      )
      // For programs whose compiler wants `override` to be said.
      .replaceAll(/^( +)(static )?(readonly _capnp |toString\(\))/gm, "$1$2override $3")
  );
}

/** What interfaces use of other files, beyond what capnp-es imports. */
function imports(nodes: Nodes): string {
  return [...nodes.importsOfInterfaces()]
    .map(([file, names]) => `\nimport { ${[...names].sort().join(", ")} } from "./${file}.js";`)
    .join("");
}

function nameOf(statement: ts.Statement): string {
  const isNamed = ts.isClassDeclaration(statement) || ts.isInterfaceDeclaration(statement);
  return isNamed ? (statement.name?.text ?? "") : "";
}

/** What capnp-es makes for interfaces, and its import of what `-> stream` stands for, which it does not have. */
function isOfInterface(name: string, code: string): boolean {
  return (
    /\$(Client|Server|Server\$Target|Promise)$/.test(name) ||
    code.startsWith("$.Registry.register(") ||
    code.includes('from "capnp-es/capnp/stream"')
  );
}
