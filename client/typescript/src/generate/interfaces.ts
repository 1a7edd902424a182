/** The code for an interface: its client, the shape of an object that implements it, and its calls. */

import type { Node } from "capnp-es/capnp/schema";
import type { CapabilityField, MethodNode, Nodes } from "./nodes.js";

/** @param made the structs for which there are classes already. */
export function interfaceCode(node: Node, nodes: Nodes, made: Set<bigint>): string {
  const name = nodes.name(node);
  const methods = nodes.methods(node);
  return [
    ...pipelines(methods, nodes, made),
    ...methods.filter(({ owner }) => owner.id === node.id).map((method) => callClass(method, nodes)),
    methodTable(name, methods, nodes),
    clientClass(node, methods, nodes),
    serverInterface(name, methods, nodes),
    `${nodes.comment(node.id)}export type ${name} = ${name}$Client;`,
    `export const ${name} = ${value(node, nodes)};`,
    "",
  ]
    .filter((part, index, parts) => part !== "" || index === parts.length - 1)
    .join("\n\n");
}

function value(node: Node, nodes: Nodes): string {
  const name = nodes.name(node);
  const [, path = ""] = node.displayName.split(":");
  const nested = [...node.nestedNodes]
    .map(({ id, name }) => ({ name, node: nodes.get(id) }))
    .filter(({ node }) => node._isStruct || node._isEnum || node._isInterface)
    .map(({ name, node }) => `  ${name}: ${nodes.name(node)},\n`);
  const id = `0x${node.id.toString(16)}n`;
  const type = `$.interfaceType<${name}$Client, ${name}$Server>("${path}", ${id}, ${name}$Client, ${name}$methods)`;
  return nested.length === 0 ? type : `Object.assign(${type}, {\n${nested.join("")}})`;
}

function methodTable(name: string, methods: readonly MethodNode[], nodes: Nodes): string {
  // Getters, as the classes of an interface that is extended may come later in the module.
  const getter = (name: string, struct: bigint) =>
    `    get ${name}() {\n      return ${nodes.name(nodes.get(struct))};\n    },\n`;
  const rows = methods.map(({ owner, index, method }) => {
    const Results = nodes.isStream(method) ? "" : getter("Results", method.resultStructType);
    const ids = `interfaceId: 0x${owner.id.toString(16)}n,\n    methodId: ${index},`;
    return `  ${method.name}: {\n    name: "${method.name}",\n    ${ids}\n${getter("Params", method.paramStructType)}${Results}  },\n`;
  });
  return `const ${name}$methods = {\n${rows.join("")}};`;
}

function clientClass(node: Node, methods: readonly MethodNode[], nodes: Nodes): string {
  const name = nodes.name(node);
  const members = methods.map((each) => {
    const { owner, index, method } = each;
    const fill = `params?: $.Fill<${nodes.name(nodes.get(method.paramStructType))}>`;
    const comment = nodes.comment(owner.id, index);
    const table = `${name}$methods.${method.name}`;
    if (nodes.isStream(method)) {
      return `${comment}${method.name}(${fill}): Promise<void> {
  return this.$stream(${table}, params);
}`;
    }
    const call = callType(each, nodes);
    return `${comment}${method.name}(${fill}, options?: $.CallOptions): ${call.type} {
  return this.$call(${table}, ${call.constructor}, params, options);
}`;
  });
  return `export class ${name}$Client extends $.Client {\n${indent(members.join("\n\n"))}\n}`;
}

function serverInterface(name: string, methods: readonly MethodNode[], nodes: Nodes): string {
  const members = methods.map(({ owner, index, method }) => {
    const Params = nodes.name(nodes.get(method.paramStructType));
    const results = nodes.get(method.resultStructType);
    const isVoid = nodes.isStream(method) || results.struct.fields.length === 0;
    const reply = isVoid ? "Promise<void> | void" : `$.Reply<${nodes.name(results)}>`;
    return `${nodes.comment(owner.id, index)}${method.name}(params: ${Params}, context: $.CallContext): ${reply};`;
  });
  return `/** An object that implements ${name}. */\nexport interface ${name}$Server {\n${indent(members.join("\n\n"))}\n}`;
}

/** The type of a method's calls: a class of its own when there are capabilities in the results. */
function callType(method: MethodNode, nodes: Nodes): { type: string; constructor: string } {
  const results = nodes.get(method.method.resultStructType);
  if (nodes.capabilityFields(results).length > 0) {
    const name = callName(method, nodes);
    return { type: name, constructor: name };
  }
  const type = `$.Call<${nodes.name(results)}>`;
  return { type, constructor: type };
}

function callName({ owner, method }: MethodNode, nodes: Nodes): string {
  return `${nodes.name(owner)}_${method.name.charAt(0).toUpperCase()}${method.name.slice(1)}$Call`;
}

function callClass(method: MethodNode, nodes: Nodes): string {
  if (nodes.isStream(method.method)) return "";
  const results = nodes.get(method.method.resultStructType);
  const fields = nodes.capabilityFields(results);
  if (fields.length === 0) return "";
  const name = callName(method, nodes);
  return `export class ${name} extends $.Call<${nodes.name(results)}> {\n${getters(fields, "this.$pipeline", nodes)}\n}`;
}

/** Classes for the structs in results that lead to capabilities. */
function pipelines(methods: readonly MethodNode[], nodes: Nodes, made: Set<bigint>): string[] {
  const classes: string[] = [];
  const visit = (struct: Node) => {
    for (const { node } of nodes.capabilityFields(struct)) {
      if (!node?._isStruct || made.has(node.id)) continue;
      made.add(node.id);
      visit(node);
      const body = getters(nodes.capabilityFields(node), "this.pipeline", nodes);
      const name = `${nodes.name(node)}$Pipeline`;
      classes.push(`export class ${name} {\n  constructor(private readonly pipeline: $.Pipeline) {}\n${body}\n}`);
    }
  };
  for (const { method } of methods) if (!nodes.isStream(method)) visit(nodes.get(method.resultStructType));
  return classes;
}

function getters(fields: readonly CapabilityField[], pipeline: string, nodes: Nodes): string {
  const members = fields.map(({ name, pointer, node }) => {
    // A promise has these already.
    const getter = ["then", "catch", "finally"].includes(name) ? `$${name}` : name;
    const at = pointer === undefined ? pipeline : `${pipeline}.at(${pointer})`;
    if (node === undefined) return `get ${getter}(): $.Pipeline {\n  return ${at};\n}`;
    const Class = `${nodes.name(node)}${node._isInterface ? "$Client" : "$Pipeline"}`;
    const value = node._isInterface ? `${pipeline}.client(${pointer}, ${Class})` : `new ${Class}(${at})`;
    return `get ${getter}(): ${Class} {\n  return ${value};\n}`;
  });
  return indent(members.join("\n\n"));
}

function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}
