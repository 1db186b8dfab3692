// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.util.Arrays;
import java.util.List;
import org.mxfs.bindings.linux.Netlink;
import org.mxfs.bindings.linux.nlmsghdr;

/**
 * What the fuzzer calls with every input it invents: as a datagram, and as a list of attributes.
 *
 * <p>Values or {@link MalformedMessageException} are right; anything else that is thrown is a
 * finding. So is a message that reads differently when it is alone in memory than with others
 * around it: that parser looked outside its message. Loops show as the fuzzer's own time-out.
 */
public final class WireFuzzer {
  private static final int AROUND = 64;

  private WireFuzzer() {}

  /** Jazzer's entry point. */
  public static void fuzzerTestOneInput(byte[] input) {
    asDatagram(input);
    asAttributes(input);
  }

  private static void asDatagram(byte[] input) {
    List<Wire.Frame> frames;
    try {
      frames = Wire.frames(input);
    } catch (MalformedMessageException e) {
      return;
    }
    require(frames.size() <= input.length / nlmsghdr.SIZE, "more messages than bytes can hold");
    for (Wire.Frame frame : frames) {
      require(frame.from() + frame.length() <= input.length, "a message ends outside");
      int begin = frame.from() - nlmsghdr.SIZE;
      byte[] alone = Arrays.copyOfRange(input, begin, frame.from() + frame.length());
      try {
        Wire.Frame same = Wire.frames(alone).getFirst();
        require(read(frame).equals(read(same)), "a message depends on its neighbours");
      } catch (MalformedMessageException e) {
        throw new AssertionError("a message that was taken is refused when alone", e);
      }
    }
  }

  /** Everything a socket does with a message, as text; offsets in it are relative to nothing. */
  private static String read(Wire.Frame frame) {
    try {
      if (frame.isData()) {
        Message message = frame.message(0);
        return message.command()
            + " "
            + message.attributes()
            + " "
            + family(message)
            + header(frame);
      }
      if (frame.type() == Netlink.NLMSG_ERROR || frame.type() == Netlink.NLMSG_DONE) {
        int result = frame.result();
        return result < 0 ? frame.error("fuzzed", -result).toString() : "ok";
      }
      return "control";
    } catch (MalformedMessageException e) {
      return "malformed";
    }
  }

  private static String family(Message message) {
    try {
      return Wire.family(message).toString();
    } catch (MalformedMessageException e) {
      return "no family";
    }
  }

  /** With a header of the family's own in front of the attributes. */
  private static String header(Wire.Frame frame) {
    try {
      return frame.message(6).attributes().toString();
    } catch (MalformedMessageException e) {
      return "no header";
    }
  }

  private static void asAttributes(byte[] input) {
    String alone = attributes(input, 0, input.length);
    for (byte fill : new byte[] {0, (byte) 0xff}) {
      byte[] embedded = new byte[input.length + 2 * AROUND];
      Arrays.fill(embedded, fill);
      System.arraycopy(input, 0, embedded, AROUND, input.length);
      require(
          alone.equals(attributes(embedded, AROUND, input.length)),
          "attributes depend on what is around them");
    }
  }

  private static String attributes(byte[] data, int from, int length) {
    Attributes parsed;
    try {
      parsed = Attributes.parse(data, from, length);
    } catch (MalformedMessageException e) {
      return "malformed";
    }
    require(parsed.size() <= (length + 3) / 4, "more attributes than bytes can hold");
    StringBuilder all = new StringBuilder(parsed.toString());
    for (int type = 0; type < 16; type++) {
      if (parsed.has(type)) {
        all.append('\n').append(type).append(everyGetter(parsed, type));
      }
    }
    try {
      byte[] encoded = parsed.encoded();
      require(
          Attributes.parse(encoded, 0, encoded.length).toString().equals(parsed.toString()),
          "encoding changes attributes");
    } catch (MalformedMessageException e) {
      throw new AssertionError("what was parsed is encoded wrongly", e);
    }
    return all.toString();
  }

  private interface Getter {
    Object get() throws MalformedMessageException;
  }

  private static String everyGetter(Attributes a, int type) {
    List<Getter> getters =
        List.of(
            () -> a.u8(type),
            () -> a.u16(type),
            () -> a.u32(type),
            () -> a.s32(type),
            () -> a.u64(type),
            () -> a.uint(type),
            () -> Arrays.toString(a.u32s(type)),
            () -> a.string(type),
            () -> Arrays.toString(a.bytes(type)),
            () -> a.nested(type),
            () -> a.all(type),
            () -> a.array(type));
    StringBuilder values = new StringBuilder();
    for (Getter getter : getters) {
      try {
        values.append(' ').append(getter.get());
      } catch (MalformedMessageException e) {
        values.append(" -");
      }
    }
    return values.toString();
  }

  private static void require(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }
}
