// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.util.ArrayList;
import java.util.List;
import org.mxfs.bindings.linux.Genetlink;
import org.mxfs.bindings.linux.Netlink;
import org.mxfs.bindings.linux.genlmsghdr;
import org.mxfs.bindings.linux.nlmsgerr;
import org.mxfs.bindings.linux.nlmsghdr;

/**
 * The framing of netlink messages, without any I/O: bytes in, values out. {@code linux/netlink.h},
 * RFC 3549.
 */
final class Wire {
  private Wire() {}

  /** One message of a datagram; the payload is {@code data[from, from + length)}. */
  record Frame(int type, int flags, int sequence, int port, byte[] data, int from, int length) {
    private String what() {
      return "netlink message type "
          + type
          + ", sequence "
          + Integer.toUnsignedString(sequence)
          + ": ";
    }

    boolean isData() {
      return type >= Netlink.NLMSG_MIN_TYPE;
    }

    /** The generic netlink message in it. */
    Message message(int familyHeaderSize) throws MalformedMessageException {
      if (length < genlmsghdr.SIZE) {
        throw new MalformedMessageException(
            what() + length + " bytes are no generic netlink header");
      }
      int header = align(familyHeaderSize);
      int attributes = from + genlmsghdr.SIZE + header;
      if (header > length - genlmsghdr.SIZE) {
        throw new MalformedMessageException(
            what() + length + " bytes do not hold the family's header");
      }
      return new Message(
          type,
          data[from + genlmsghdr.OFFSET_cmd] & 0xff,
          data[from + genlmsghdr.OFFSET_version] & 0xff,
          sequence,
          port,
          flags,
          Attributes.parse(data, attributes, from + length - attributes));
    }

    /** The result that NLMSG_ERROR and NLMSG_DONE carry: 0, or a negative errno. */
    int result() throws MalformedMessageException {
      if (type == Netlink.NLMSG_DONE && length < Integer.BYTES) {
        return 0; // old senders leave it out
      }
      if (length < (type == Netlink.NLMSG_ERROR ? nlmsgerr.SIZE : Integer.BYTES)) {
        throw new MalformedMessageException(what() + length + " bytes are no acknowledgement");
      }
      int result = Numbers.s32(data, from + nlmsgerr.OFFSET_error);
      if (result > 0 || result < -4095) {
        throw new MalformedMessageException(what() + "the result " + result + " is no errno");
      }
      return result;
    }

    /** The kernel's own words about a result. */
    NetlinkErrorException error(String request, int errno) throws MalformedMessageException {
      return new NetlinkErrorException(request, errno, ExtendedAck.of(extendedAck()));
    }

    private Attributes extendedAck() throws MalformedMessageException {
      if ((flags & Netlink.NLM_F_ACK_TLVS) == 0) {
        return Attributes.EMPTY;
      }
      int skip;
      if (type == Netlink.NLMSG_DONE) {
        skip = Integer.BYTES;
      } else if ((flags & Netlink.NLM_F_CAPPED) != 0) {
        skip = nlmsgerr.SIZE;
      } else {
        // The whole request is repeated between the header and the attributes.
        int repeated = Numbers.s32(data, from + nlmsgerr.OFFSET_msg + nlmsghdr.OFFSET_nlmsg_len);
        if (repeated < nlmsghdr.SIZE || repeated > length) {
          throw new MalformedMessageException(
              what() + "repeats a request of " + repeated + " bytes");
        }
        skip = align(nlmsgerr.OFFSET_msg + repeated);
      }
      if (skip > length) {
        throw new MalformedMessageException(what() + "ends before its attributes");
      }
      return Attributes.parse(data, from + skip, length - skip);
    }
  }

  static int align(int length) {
    return (length + Netlink.NLMSG_ALIGNTO - 1) & -Netlink.NLMSG_ALIGNTO;
  }

  /** Takes a datagram apart. {@code data} must not be changed afterwards. */
  static List<Frame> frames(byte[] data) throws MalformedMessageException {
    if (data.length == 0) {
      return List.of();
    }
    Frame first = frame(data, 0);
    if (nlmsghdr.SIZE + first.length == data.length) {
      return List.of(first); // all answers but those to dumps
    }
    List<Frame> frames = new ArrayList<>();
    frames.add(first);
    int at = end(first);
    while (at < data.length) {
      Frame next = frame(data, at);
      frames.add(next);
      at = end(next);
    }
    return frames;
  }

  private static Frame frame(byte[] data, int at) throws MalformedMessageException {
    int left = data.length - at;
    if (left < nlmsghdr.SIZE) {
      throw new MalformedMessageException(
          left + " bytes are left where a netlink message should begin");
    }
    int size = Numbers.s32(data, at + nlmsghdr.OFFSET_nlmsg_len);
    if (size < nlmsghdr.SIZE || size > left) {
      throw new MalformedMessageException(
          "a netlink message claims " + Integer.toUnsignedString(size) + " bytes of " + left);
    }
    return new Frame(
        Numbers.u16(data, at + nlmsghdr.OFFSET_nlmsg_type),
        Numbers.u16(data, at + nlmsghdr.OFFSET_nlmsg_flags),
        Numbers.s32(data, at + nlmsghdr.OFFSET_nlmsg_seq),
        Numbers.s32(data, at + nlmsghdr.OFFSET_nlmsg_pid),
        data,
        at + nlmsghdr.SIZE,
        size - nlmsghdr.SIZE);
  }

  /** Where the next message begins; the padding of the last one may be missing. */
  private static int end(Frame frame) {
    return Math.min(align(frame.from + frame.length), frame.data.length);
  }

  /** A request as it goes to the kernel. */
  static byte[] request(
      Family family, int command, int flags, int sequence, int port, Attributes attributes) {
    if (command < 0 || command > 0xff) {
      throw new IllegalArgumentException("command " + command + " does not fit 8 bits");
    }
    byte[] payload = attributes.encoded();
    int header = nlmsghdr.SIZE + genlmsghdr.SIZE + align(family.headerSize());
    byte[] message = new byte[header + payload.length];
    Numbers.s32(message, nlmsghdr.OFFSET_nlmsg_len, message.length);
    Numbers.u16(message, nlmsghdr.OFFSET_nlmsg_type, family.id());
    Numbers.u16(message, nlmsghdr.OFFSET_nlmsg_flags, flags);
    Numbers.s32(message, nlmsghdr.OFFSET_nlmsg_seq, sequence);
    Numbers.s32(message, nlmsghdr.OFFSET_nlmsg_pid, port);
    message[nlmsghdr.SIZE + genlmsghdr.OFFSET_cmd] = (byte) command;
    message[nlmsghdr.SIZE + genlmsghdr.OFFSET_version] = (byte) family.version();
    System.arraycopy(payload, 0, message, header, payload.length);
    return message;
  }

  /** A family from the controller's description of it. */
  static Family family(Message m) throws MalformedMessageException {
    Attributes a = m.attributes();
    java.util.Map<String, Integer> groups = new java.util.HashMap<>();
    if (a.has(Genetlink.CTRL_ATTR_MCAST_GROUPS)) {
      for (Attributes g : a.array(Genetlink.CTRL_ATTR_MCAST_GROUPS)) {
        groups.put(
            g.string(Genetlink.CTRL_ATTR_MCAST_GRP_NAME), g.s32(Genetlink.CTRL_ATTR_MCAST_GRP_ID));
      }
    }
    return new Family(
        a.u16(Genetlink.CTRL_ATTR_FAMILY_ID),
        a.string(Genetlink.CTRL_ATTR_FAMILY_NAME),
        (int) a.u32(Genetlink.CTRL_ATTR_VERSION),
        (int) a.u32(Genetlink.CTRL_ATTR_HDRSIZE, 0),
        (int) a.u32(Genetlink.CTRL_ATTR_MAXATTR, 0),
        groups);
  }
}
