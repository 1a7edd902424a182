package org.shipmate.samples;

import java.util.Optional;
import org.shipmate.MessageListener;
import org.shipmate.MessageReceiver;
import org.shipmate.MessageSender;
import org.shipmate.ShipmateException;
import org.shipmate.schema.RecordSchema.Record;

/**
 * {@code records send ADDRESS NAME VALUE...} sends a record for each value; {@code records recv
 * ADDRESS} takes them from one sender and prints them. {@code shipmate recv} and {@code shipmate
 * send} may be at the other end.
 */
public final class RecordsSample {
  private RecordsSample() {}

  public static void main(String[] arguments) {
    boolean send = arguments.length > 3 && arguments[0].equals("send");
    boolean receive = arguments.length == 2 && arguments[0].equals("recv");
    if (!send && !receive) {
      System.err.println("usage: records send ADDRESS NAME VALUE... | records recv ADDRESS");
      System.exit(2);
    }
    try {
      if (send) {
        send(arguments);
      } else {
        receive(arguments[1]);
      }
    } catch (ShipmateException e) {
      System.err.println(e.getMessage());
      System.exit(1);
    }
  }

  private static void send(String[] arguments) {
    try (var sender = MessageSender.connect(arguments[1], Record.factory)) {
      for (int i = 3; i < arguments.length; i++) {
        long value = Long.parseLong(arguments[i]);
        sender.send(
            record -> {
              record.setName(arguments[2]);
              record.setValue(value);
              record.getBody().setText("from Java");
            });
      }
    }
  }

  private static void receive(String address) {
    try (var listener = MessageListener.listen(address, Record.factory)) {
      System.out.println("listening at " + listener.address());
      try (MessageReceiver<Record.Reader> sender = listener.accept()) {
        Optional<Record.Reader> next = sender.receive();
        while (next.isPresent()) {
          System.out.println(next.get().getName() + " = " + next.get().getValue());
          next = sender.receive();
        }
      }
    }
  }
}
