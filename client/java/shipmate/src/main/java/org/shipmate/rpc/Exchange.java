package org.shipmate.rpc;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.capnproto.StructList;

/**
 * The objects that each side of a session has given to the other, and how they are written and
 * read. All is guarded by the session's lock.
 */
final class Exchange {
  private static final class Export {
    final int id;
    final Capability capability;
    int references;

    Export(int id, Capability capability) {
      this.id = id;
      this.capability = capability;
    }
  }

  private final Session session;
  private final Ids exportIds = new Ids();
  private final Map<Integer, Export> exports = new HashMap<>();
  private final Map<Capability, Export> exportsByCapability = new IdentityHashMap<>();
  private final Map<Integer, ImportedCapability> imports = new HashMap<>();

  Exchange(Session session) {
    this.session = session;
  }

  // ----------------------------------------------------------------------------------------
  // writing

  /** Writes a payload's table of capabilities. Gives the exports that it refers to. */
  List<Integer> write(List<Reference> references, RpcSchema.Payload.Builder payload) {
    if (references.isEmpty()) {
      return List.of();
    }
    // All must be open before any is counted.
    List<Capability> capabilities =
        references.stream().map(reference -> reference.capability().resolved()).toList();
    List<Integer> exported = new ArrayList<>();
    StructList.Builder<RpcSchema.CapDescriptor.Builder> table =
        payload.initCapTable(capabilities.size());
    for (int i = 0; i < capabilities.size(); i++) {
      write(capabilities.get(i), table.get(i), exported);
    }
    return exported;
  }

  private void write(
      Capability capability, RpcSchema.CapDescriptor.Builder to, List<Integer> exported) {
    if (capability instanceof ImportedCapability theirs && theirs.session == session) {
      to.setReceiverHosted(theirs.id);
    } else if (capability instanceof PipelinedCapability promise && promise.session == session) {
      write(promise, to.initReceiverAnswer());
    } else {
      int id = export(capability);
      to.setSenderHosted(id);
      exported.add(id);
    }
  }

  static void write(PipelinedCapability promise, RpcSchema.PromisedAnswer.Builder to) {
    to.setQuestionId(promise.question.id);
    var transform = to.initTransform(promise.path.length);
    for (int i = 0; i < promise.path.length; i++) {
      transform.get(i).setGetPointerField((short) promise.path[i]);
    }
  }

  private int export(Capability capability) {
    Export export = exportsByCapability.get(capability);
    if (export == null) {
      capability.retain();
      export = new Export(exportIds.next(), capability);
      exports.put(export.id, export);
      exportsByCapability.put(capability, export);
    }
    export.references++;
    return export.id;
  }

  /** The peer, or a message that did not reach it, gives references back. */
  void releaseExport(int id, long count) {
    Export export = exports.get(id);
    if (export == null || count > export.references) {
      throw new ProtocolException("it has released object " + id + ", which it does not have");
    }
    export.references -= (int) count;
    if (export.references == 0) {
      exports.remove(id);
      exportsByCapability.remove(export.capability);
      exportIds.free(id);
      session.later(export.capability::release);
    }
  }

  // ----------------------------------------------------------------------------------------
  // reading

  /** Reads a payload's table of capabilities. */
  Reference[] read(StructList.Reader<RpcSchema.CapDescriptor.Reader> table) {
    Reference[] result = new Reference[table.size()];
    for (int i = 0; i < result.length; i++) {
      result[i] = new Reference(read(table.get(i)));
    }
    return result;
  }

  /** Gives one reference to what a descriptor describes. */
  Capability read(RpcSchema.CapDescriptor.Reader descriptor) {
    return switch (descriptor.which()) {
      case NONE -> new BrokenCapability(new NullPointerException("a null capability"));
      case SENDER_HOSTED -> imported(descriptor.getSenderHosted());
      case SENDER_PROMISE -> imported(descriptor.getSenderPromise());
      case RECEIVER_HOSTED -> exported(descriptor.getReceiverHosted());
      case RECEIVER_ANSWER -> session.promised(descriptor.getReceiverAnswer());
      case THIRD_PARTY_HOSTED -> imported(descriptor.getThirdPartyHosted().getVineId());
      default -> throw new ProtocolException("it has sent a capability of an unknown kind");
    };
  }

  /** Gives one reference to an object of this process. */
  Capability exported(int id) {
    Export export = exports.get(id);
    if (export == null) {
      throw new ProtocolException("it has used object " + id + ", which it does not have");
    }
    export.capability.retain();
    return export.capability;
  }

  private Capability imported(int id) {
    ImportedCapability known = imports.get(id);
    if (known != null && known.tryRetain()) {
      known.remoteReferences++;
      return known;
    }
    ImportedCapability fresh = new ImportedCapability(session, id);
    imports.put(id, fresh);
    return fresh;
  }

  /** An object of the peer that is in use here, or null. */
  ImportedCapability inUse(int id) {
    return imports.get(id);
  }

  void forget(ImportedCapability imported) {
    imports.remove(imported.id, imported);
  }

  /** The session has ended: what the peer had, it has no more. */
  void end() {
    exports.values().forEach(export -> session.later(export.capability::release));
    exports.clear();
    exportsByCapability.clear();
    imports.clear();
  }

  /** Where in an answer a capability is. */
  static int[] path(RpcSchema.PromisedAnswer.Reader promised) {
    var transform = promised.getTransform();
    int[] path = new int[transform.size()];
    int length = 0;
    for (var step : transform) {
      switch (step.which()) {
        case NOOP -> {}
        case GET_POINTER_FIELD -> path[length++] = Short.toUnsignedInt(step.getGetPointerField());
        default -> throw new ProtocolException("it has used an unknown way into an answer");
      }
    }
    return Arrays.copyOf(path, length);
  }
}
