package org.shipmate.conformance;

import static org.shipmate.conformance.Expect.is;

import org.capnproto.MessageBuilder;
import org.shipmate.schema.ConformanceSchema.Colour;
import org.shipmate.schema.ConformanceSchema.Conformance;
import org.shipmate.schema.ConformanceSchema.NewerRecord;
import org.shipmate.schema.ConformanceSchema.OlderRecord;
import org.shipmate.schema.ConformanceSchema.Painted;

/** Programs whose schemas are of different versions. */
final class Evolution {
  private Evolution() {}

  static void futureEnum(Conformance.Client server) {
    Painted.Reader known = server.paint((short) 1).get().getPainted().getAs(Painted.factory);
    is("colour 1", known.getColour(), Colour.GREEN);
    Painted.Reader future = server.paint((short) 999).get().getPainted().getAs(Painted.factory);
    is("colour 999", future.getColour(), Colour._NOT_IN_SCHEMA);
    is("the number of colour 999", future.getColourNumber(), 999);
  }

  static void evolution(Conformance.Client server) {
    var newer = new MessageBuilder().initRoot(NewerRecord.factory);
    newer.setName("depth");
    newer.setValue(42);
    newer.setUnit("fathom");
    newer.setWeight(2.25);
    newer.initTags(1).set(0, new org.capnproto.Text.Reader("sea"));
    var asOlder =
        server.asOlder(params -> params.getRecord().setAs(NewerRecord.factory, newer.asReader()));
    is("the name", asOlder.get().getName().toString(), "depth");
    NewerRecord.Reader kept = asOlder.get().getRecord().getAs(NewerRecord.factory);
    is("what was kept", describe(kept), describe(newer.asReader()));

    var older = new MessageBuilder().initRoot(OlderRecord.factory);
    older.setName("speed");
    older.setValue(7);
    var asNewer =
        server.asNewer(params -> params.getRecord().setAs(OlderRecord.factory, older.asReader()));
    is("what was filled in", describe(asNewer.get().getRecord()), "speed 7 metre 1.5 0");
  }

  private static String describe(NewerRecord.Reader record) {
    String tags = "";
    for (var tag : record.getTags()) {
      tags += " " + tag;
    }
    return "%s %d %s %s %d%s"
        .formatted(
            record.getName(),
            record.getValue(),
            record.getUnit(),
            record.getWeight(),
            record.getTags().size(),
            tags);
  }
}
