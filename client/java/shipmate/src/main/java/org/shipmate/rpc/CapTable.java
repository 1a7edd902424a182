package org.shipmate.rpc;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.WeakHashMap;
import org.capnproto.BuilderArena;

/**
 * The capabilities of a message that is being built. capnproto-java's builders have no place for
 * them and cannot be extended, so they are kept beside, by the message's arena.
 */
final class CapTable {
  private static final Map<BuilderArena, CapTable> TABLES =
      Collections.synchronizedMap(new WeakHashMap<>());

  private final List<Reference> references = new ArrayList<>();

  static CapTable of(BuilderArena arena) {
    return TABLES.computeIfAbsent(arena, key -> new CapTable());
  }

  /** The capabilities of a message, in the order of their indices. */
  static List<Reference> find(BuilderArena arena) {
    CapTable table = TABLES.get(arena);
    return table == null ? List.of() : table.references;
  }

  /** Takes a reference over and gives its index. */
  int add(Reference reference) {
    references.add(reference);
    return references.size() - 1;
  }
}
