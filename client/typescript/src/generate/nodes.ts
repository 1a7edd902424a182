/** The nodes of a schema, and the names that capnp-es gives them. */

import { basename } from "node:path";
import { type CodeGeneratorRequest, type Field, type Method, type Node, Type } from "capnp-es/capnp/schema";

/** The struct that `-> stream` stands for. */
const STREAM_RESULT = 0x995f9a3377c0b16en;

export interface MethodNode {
  /** The interface that declares it. */
  readonly owner: Node;
  readonly index: number;
  readonly method: Method;
}

/** A field of a struct whose pointer leads to capabilities. */
export interface CapabilityField {
  readonly name: string;
  /** Its number among the struct's pointers; none for a group, which has the struct's own. */
  readonly pointer: number | undefined;
  /** The interface or struct; none for `AnyPointer`. */
  readonly node: Node | undefined;
}

export class Nodes {
  readonly #byId = new Map<bigint, Node>();
  readonly #comments = new Map<bigint, { own: string; members: string[] }>();
  readonly #ownFile: string;

  constructor(request: CodeGeneratorRequest) {
    for (const node of request.nodes) this.#byId.set(node.id, node);
    for (const info of request.sourceInfo) {
      this.#comments.set(info.id, { own: info.docComment, members: info.members.map((member) => member.docComment) });
    }
    this.#ownFile = this.get(request.requestedFiles.at(0).id).displayName;
  }

  get(id: bigint): Node {
    const node = this.#byId.get(id);
    if (node === undefined) throw new Error(`the schema has no node ${id}`);
    return node;
  }

  /** As capnp-es names classes: "Outer_Inner". */
  name(node: Node): string {
    const [, path = ""] = node.displayName.split(":");
    return path
      .split(".")
      .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
      .join("_");
  }

  interfaceNamed(name: string): Node | undefined {
    return this.#interfaces().find((node) => this.name(node) === name);
  }

  comment(id: bigint, member?: number): string {
    const comments = this.#comments.get(id);
    const text = (member === undefined ? comments?.own : comments?.members[member])?.trim();
    return text ? `/**\n${text.replaceAll(/^/gm, " * ").replaceAll("*/", "*\\/")}\n */\n` : "";
  }

  /** The methods of an interface and of those that it extends. */
  methods(node: Node): MethodNode[] {
    const methods = new Map<string, MethodNode>();
    const visit = (owner: Node) => {
      for (const superclass of owner.interface.superclasses) visit(this.get(superclass.id));
      for (const [index, method] of owner.interface.methods.entries())
        methods.set(method.name, { owner, index, method });
    };
    visit(node);
    return [...methods.values()];
  }

  isStream(method: Method): boolean {
    return method.resultStructType === STREAM_RESULT;
  }

  /** The fields of a struct that are capabilities or lead to some. */
  capabilityFields(struct: Node): CapabilityField[] {
    return [...struct.struct.fields].flatMap((field) => this.#capabilityField(field) ?? []);
  }

  /** The names that interfaces of this file use of others, by file. */
  importsOfInterfaces(): Map<string, Set<string>> {
    const imports = new Map<string, Set<string>>();
    const use = (id: bigint, suffix = "") => {
      const node = this.get(id);
      const [file = ""] = node.displayName.split(":");
      // Other nodes of other files capnp-es imports itself.
      if (file === this.#ownFile || id === STREAM_RESULT || !node.displayName.includes("$")) return;
      const names = imports.get(basename(file, ".capnp")) ?? new Set();
      imports.set(basename(file, ".capnp"), names.add(this.name(node) + suffix));
    };
    for (const node of this.#interfaces()) {
      for (const { method } of this.methods(node)) {
        use(method.paramStructType);
        use(method.resultStructType);
      }
    }
    return imports;
  }

  #interfaces(): Node[] {
    return [...this.#byId.values()].filter(
      (node) => node._isInterface && node.displayName.startsWith(`${this.#ownFile}:`),
    );
  }

  #capabilityField(field: Field, visited: readonly bigint[] = []): CapabilityField | undefined {
    if (field._isGroup) {
      const node = this.get(field.group.typeId);
      return this.#leads(node, visited) ? { name: field.name, pointer: undefined, node } : undefined;
    }
    const { type, offset } = field.slot;
    switch (type.which()) {
      case Type.INTERFACE:
        return { name: field.name, pointer: offset, node: this.get(type.interface.typeId) };
      case Type.ANY_POINTER:
        return { name: field.name, pointer: offset, node: undefined };
      case Type.STRUCT: {
        const node = this.get(type.struct.typeId);
        return this.#leads(node, visited) ? { name: field.name, pointer: offset, node } : undefined;
      }
      default:
        return undefined;
    }
  }

  #leads(struct: Node, visited: readonly bigint[]): boolean {
    if (visited.includes(struct.id)) return false;
    return [...struct.struct.fields].some(
      (field) => this.#capabilityField(field, [...visited, struct.id]) !== undefined,
    );
  }
}
