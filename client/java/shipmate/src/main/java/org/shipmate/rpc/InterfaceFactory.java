package org.shipmate.rpc;

import java.util.function.Function;
import org.capnproto.FromPointerBuilder;
import org.capnproto.FromPointerReader;
import org.capnproto.SegmentBuilder;
import org.capnproto.SegmentReader;
import org.capnproto.SetPointerBuilder;

/** Stands for an interface: reads and writes its capabilities in messages. */
public final class InterfaceFactory<C extends Client>
    implements FromPointerReader<C>, FromPointerBuilder<C>, SetPointerBuilder<C, C> {
  private final Function<Reference, C> create;

  public InterfaceFactory(Function<Reference, C> create) {
    this.create = create;
  }

  /** Makes a server an object that can be called and given away. */
  public C serve(Server server) {
    return wrap(new LocalObject(server));
  }

  @Override
  public C fromPointerReader(SegmentReader segment, int pointer, int nestingLimit) {
    return create.apply(CapPointer.read(segment, pointer));
  }

  @Override
  public C fromPointerBuilder(SegmentBuilder segment, int pointer) {
    return create.apply(CapPointer.read(segment, pointer));
  }

  @Override
  public C initFromPointerBuilder(SegmentBuilder segment, int pointer, int elementCount) {
    throw new UnsupportedOperationException("a capability is set, not built");
  }

  @Override
  public void setPointerBuilder(SegmentBuilder segment, int pointer, C value) {
    CapPointer.write(segment, pointer, value.reference().copy());
  }

  C create(Reference reference) {
    return create.apply(reference);
  }

  /** Takes one of the capability's references over. */
  C wrap(Capability capability) {
    return create.apply(new Reference(capability));
  }
}
