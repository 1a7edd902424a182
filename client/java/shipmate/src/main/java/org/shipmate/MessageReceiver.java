package org.shipmate;

import org.capnproto.StructFactory;
import org.capnproto.StructReader;
import org.shipmate.MessageTransport.Receiving;

/**
 * The messages of one sender, in order. When it is closed, the sender gets {@link
 * DisconnectedException}.
 *
 * @param <R> the reader of the messages' type
 */
public final class MessageReceiver<R extends StructReader> extends MessageStream<R> {
  MessageReceiver(Receiving receiving, StructFactory<?, R> type) {
    super(receiving, type);
  }
}
