package org.shipmate.rpc;

import java.util.function.Consumer;
import org.capnproto.AnyPointer;
import org.capnproto.StructFactory;

/** What to call, with its parameters: built here, or received and passed on. */
final class CallMessage {
  final long interfaceId;
  final int method;
  private final AnyPointer.Reader params;
  private final Outgoing built;

  private CallMessage(long interfaceId, int method, AnyPointer.Reader params, Outgoing built) {
    this.interfaceId = interfaceId;
    this.method = method;
    this.params = params;
    this.built = built;
  }

  static <B> CallMessage build(
      long interfaceId, int method, StructFactory<B, ?> factory, Consumer<B> fill) {
    Outgoing built = new Outgoing();
    RpcSchema.Call.Builder call = built.message.initCall();
    AnyPointer.Builder content = call.initParams().getContent();
    fill.accept(content.initAs(factory));
    return new CallMessage(interfaceId, method, content.asReader(), built);
  }

  static CallMessage received(long interfaceId, int method, AnyPointer.Reader params) {
    return new CallMessage(interfaceId, method, params, null);
  }

  /** For an object in this process. */
  AnyPointer.Reader params() {
    return params;
  }

  /** For an object elsewhere: a call that lacks its number and its target. */
  Outgoing outgoing() {
    Outgoing result = built;
    if (result == null) {
      result = new Outgoing();
      PointerCopy.copy(params, result.message.initCall().initParams().getContent());
    }
    RpcSchema.Call.Builder call = result.message.getCall();
    call.setInterfaceId(interfaceId);
    call.setMethodId((short) method);
    return result;
  }

  /** What it takes, for flow control. */
  long bytes() {
    return built == null ? 0 : built.bytes();
  }

  /** Gives up what would have been passed on. */
  void discard() {
    if (built != null) {
      built.closeReferences();
    }
  }
}
