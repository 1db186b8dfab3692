// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.peer;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.PeerMessage;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Waiter;
import org.mxfs.daemon.wire.FrameLayout;
import org.mxfs.daemon.wire.Layout;
import org.mxfs.daemon.wire.MalformedException;

/** One frame: who sent it, and what it says. */
record Frame(ReservationKey key, long epoch, Body body) {
  /** What a frame says. */
  sealed interface Body {
    record Hello(String host, String options, boolean mounted) implements Body {}

    record Ping() implements Body {}

    record Ownership(PeerMessage message) implements Body {}
  }

  static byte[] encode(UUID volumeUuid, ReservationKey key, long epoch, Body body) {
    int type;
    Layout layout;
    byte[] options = new byte[0];
    byte[] text = new byte[0];
    int rest = 0;
    switch (body) {
      case Body.Hello hello -> {
        type = FrameLayout.HELLO;
        layout = FrameLayout.HELLO_LAYOUT;
        options = text(hello.options());
        text = text(hello.host());
        rest = options.length + text.length;
      }
      case Body.Ping _ -> {
        type = FrameLayout.PING;
        layout = FrameLayout.PING_LAYOUT;
      }
      case Body.Ownership ownership -> {
        switch (ownership.message()) {
          case PeerMessage.OwnRequest _ -> {
            type = FrameLayout.OWN_REQUEST;
            layout = FrameLayout.REQUEST_LAYOUT;
          }
          case PeerMessage.OwnGrant grant -> {
            type = FrameLayout.OWN_GRANT;
            layout = FrameLayout.GRANT_LAYOUT;
            rest = grant.waiters().size() * FrameLayout.WAITER_SIZE;
          }
          case PeerMessage.OwnTaken _ -> {
            type = FrameLayout.OWN_TAKEN;
            layout = FrameLayout.TAKEN_LAYOUT;
          }
          case PeerMessage.OwnDecline _ -> {
            type = FrameLayout.OWN_DECLINE;
            layout = FrameLayout.DECLINE_LAYOUT;
          }
          case PeerMessage.OwnRedirect _ -> {
            type = FrameLayout.OWN_REDIRECT;
            layout = FrameLayout.REDIRECT_LAYOUT;
          }
          case PeerMessage.OwnBusy busy -> {
            type = FrameLayout.OWN_BUSY;
            layout = FrameLayout.BUSY_LAYOUT;
            text = text(busy.message());
            rest = text.length;
          }
          case PeerMessage.Leave _ -> {
            type = FrameLayout.LEAVE;
            layout = FrameLayout.LEAVE_LAYOUT;
          }
        }
      }
    }
    int at = FrameLayout.HEADER.size();
    int length = at + layout.size() + rest;
    byte[] bytes = new byte[length];
    ByteBuffer buffer = Layout.wrap(bytes, 0, length);
    FrameLayout.LENGTH.put(buffer, 0, length);
    FrameLayout.MAGIC_FIELD.put(buffer, 0, FrameLayout.MAGIC);
    FrameLayout.VERSION_FIELD.put(buffer, 0, FrameLayout.VERSION);
    FrameLayout.TYPE.put(buffer, 0, type);
    FrameLayout.VOLUME_UUID.putUuid(buffer, 0, volumeUuid);
    FrameLayout.KEY.put(buffer, 0, key.value());
    FrameLayout.EPOCH.put(buffer, 0, epoch);
    if (body instanceof Body.Ownership ownership) {
      putMessage(buffer, at, ownership.message());
    }
    if (body instanceof Body.Hello hello) {
      FrameLayout.HELLO_MOUNTED.put(buffer, at, hello.mounted() ? 1 : 0);
      FrameLayout.HELLO_OPTIONS.put(buffer, at, options.length);
    }
    buffer.put(at + layout.size(), options);
    buffer.put(at + layout.size() + options.length, text);
    return bytes;
  }

  private static void putMessage(ByteBuffer buffer, int at, PeerMessage message) {
    switch (message) {
      case PeerMessage.OwnRequest m -> FrameLayout.REQUEST_ID.put(buffer, at, m.requestId());
      case PeerMessage.OwnGrant m -> {
        FrameLayout.GRANT_ID.put(buffer, at, m.requestId());
        FrameLayout.GRANT_EPOCH.put(buffer, at, m.newEpoch());
        FrameLayout.GRANT_DETACH.put(buffer, at, m.detachMillis());
        FrameLayout.GRANT_WAITERS.put(buffer, at, m.waiters().size());
        int next = at + FrameLayout.GRANT_LIST.offset();
        for (Waiter waiter : m.waiters()) {
          buffer.putLong(next, waiter.key().value());
          buffer.putLong(next + 8, waiter.requestId());
          next += FrameLayout.WAITER_SIZE;
        }
      }
      case PeerMessage.OwnTaken m -> FrameLayout.TAKEN_EPOCH.put(buffer, at, m.epoch());
      case PeerMessage.OwnDecline m -> FrameLayout.DECLINE_ID.put(buffer, at, m.requestId());
      case PeerMessage.OwnRedirect m -> {
        FrameLayout.REDIRECT_ID.put(buffer, at, m.requestId());
        FrameLayout.REDIRECT_HOLDER.put(buffer, at, m.holder().value());
      }
      case PeerMessage.OwnBusy m -> FrameLayout.BUSY_ID.put(buffer, at, m.requestId());
      case PeerMessage.Leave _ -> {}
    }
  }

  /** Checks the length field of a header that is not yet followed by the rest. */
  static int checkedLength(byte[] header) throws MalformedException {
    ByteBuffer buffer = Layout.wrap(header, 0, FrameLayout.HEADER.size());
    long length = FrameLayout.LENGTH.get(buffer, 0);
    long magic = FrameLayout.MAGIC_FIELD.get(buffer, 0);
    if (magic != FrameLayout.MAGIC) {
      throw new MalformedException("frame with magic " + Long.toHexString(magic));
    }
    if (length < FrameLayout.HEADER.size() || length > FrameLayout.SIZE_MAX) {
      throw new MalformedException("frame of " + length + " bytes");
    }
    return (int) length;
  }

  /**
   * Who sent a frame of another version, and which; null where it is none, or not of this volume.
   * What stands before the payload is the same in all versions.
   */
  static Event.@Nullable OtherVersion otherVersion(byte[] bytes, UUID volumeUuid) {
    ByteBuffer buffer = Layout.wrap(bytes, 0, FrameLayout.HEADER.size());
    long version = FrameLayout.VERSION_FIELD.get(buffer, 0);
    int nodeId = new ReservationKey(FrameLayout.KEY.get(buffer, 0)).nodeId();
    if (version == FrameLayout.VERSION
        || nodeId == 0
        || !FrameLayout.VOLUME_UUID.getUuid(buffer, 0).equals(volumeUuid)) {
      return null;
    }
    return new Event.OtherVersion(
        nodeId,
        "speaks version "
            + version
            + " of the protocol between nodes, this node version "
            + FrameLayout.VERSION);
  }

  static Frame decode(byte[] bytes, int length, UUID volumeUuid) throws MalformedException {
    int at = FrameLayout.HEADER.size();
    if (length < at || length > bytes.length || checkedLength(bytes) != length) {
      throw new MalformedException("frame of " + length + " bytes");
    }
    ByteBuffer buffer = Layout.wrap(bytes, 0, length);
    long version = FrameLayout.VERSION_FIELD.get(buffer, 0);
    if (version != FrameLayout.VERSION) {
      throw new MalformedException("frame of version " + version);
    }
    if (!FrameLayout.VOLUME_UUID.getUuid(buffer, 0).equals(volumeUuid)) {
      throw new MalformedException("frame for another volume");
    }
    ReservationKey key = new ReservationKey(FrameLayout.KEY.get(buffer, 0));
    if (key.nodeId() == 0) {
      throw new MalformedException("frame from node id 0");
    }
    long epoch = FrameLayout.EPOCH.get(buffer, 0);
    int type = (int) FrameLayout.TYPE.get(buffer, 0);
    int payload = length - at;
    Body body =
        switch (type) {
          case FrameLayout.HELLO -> hello(bytes, buffer, at, payload);
          case FrameLayout.PING -> {
            expect(type, payload, FrameLayout.PING_LAYOUT, 0);
            yield new Body.Ping();
          }
          case FrameLayout.OWN_REQUEST -> {
            expect(type, payload, FrameLayout.REQUEST_LAYOUT, 0);
            yield message(new PeerMessage.OwnRequest(FrameLayout.REQUEST_ID.get(buffer, at)));
          }
          case FrameLayout.OWN_GRANT -> message(grant(buffer, at, payload));
          case FrameLayout.OWN_TAKEN -> {
            expect(type, payload, FrameLayout.TAKEN_LAYOUT, 0);
            yield message(new PeerMessage.OwnTaken(FrameLayout.TAKEN_EPOCH.get(buffer, at)));
          }
          case FrameLayout.OWN_DECLINE -> {
            expect(type, payload, FrameLayout.DECLINE_LAYOUT, 0);
            yield message(new PeerMessage.OwnDecline(FrameLayout.DECLINE_ID.get(buffer, at)));
          }
          case FrameLayout.OWN_REDIRECT -> {
            expect(type, payload, FrameLayout.REDIRECT_LAYOUT, 0);
            yield message(
                new PeerMessage.OwnRedirect(
                    FrameLayout.REDIRECT_ID.get(buffer, at),
                    new ReservationKey(FrameLayout.REDIRECT_HOLDER.get(buffer, at))));
          }
          case FrameLayout.OWN_BUSY -> {
            expect(type, payload, FrameLayout.BUSY_LAYOUT, FrameLayout.TEXT_MAX);
            int skip = FrameLayout.BUSY_TEXT.offset();
            yield message(
                new PeerMessage.OwnBusy(
                    FrameLayout.BUSY_ID.get(buffer, at), text(bytes, at + skip, payload - skip)));
          }
          case FrameLayout.LEAVE -> {
            expect(type, payload, FrameLayout.LEAVE_LAYOUT, 0);
            yield message(new PeerMessage.Leave());
          }
          default -> throw new MalformedException("frame of unknown type " + type);
        };
    return new Frame(key, epoch, body);
  }

  private static Body hello(byte[] bytes, ByteBuffer buffer, int at, int payload)
      throws MalformedException {
    expect(FrameLayout.HELLO, payload, FrameLayout.HELLO_LAYOUT, 2 * FrameLayout.TEXT_MAX);
    int options = (int) FrameLayout.HELLO_OPTIONS.get(buffer, at);
    int host = payload - FrameLayout.HELLO_LAYOUT.size() - options;
    if (options > FrameLayout.TEXT_MAX || host < 0 || host > FrameLayout.TEXT_MAX) {
      throw new MalformedException("HELLO with " + options + " bytes of options in " + payload);
    }
    int from = at + FrameLayout.HELLO_TEXT.offset();
    return new Body.Hello(
        text(bytes, from + options, host),
        text(bytes, from, options),
        FrameLayout.HELLO_MOUNTED.get(buffer, at) != 0);
  }

  private static Body message(PeerMessage message) {
    return new Body.Ownership(message);
  }

  private static PeerMessage grant(ByteBuffer buffer, int at, int payload)
      throws MalformedException {
    int listMax = PeerMessage.OwnGrant.WAITERS_MAX * FrameLayout.WAITER_SIZE;
    expect(FrameLayout.OWN_GRANT, payload, FrameLayout.GRANT_LAYOUT, listMax);
    long count = FrameLayout.GRANT_WAITERS.get(buffer, at);
    int rest = payload - FrameLayout.GRANT_LAYOUT.size();
    if (count > PeerMessage.OwnGrant.WAITERS_MAX || count * FrameLayout.WAITER_SIZE != rest) {
      throw new MalformedException("grant with " + count + " waiters in " + rest + " bytes");
    }
    List<Waiter> waiters = new ArrayList<>();
    int next = at + FrameLayout.GRANT_LIST.offset();
    for (int i = 0; i < count; i++) {
      ReservationKey key = new ReservationKey(buffer.getLong(next));
      if (key.nodeId() == 0) {
        throw new MalformedException("grant with a waiter of node id 0");
      }
      waiters.add(new Waiter(key, buffer.getLong(next + 8)));
      next += FrameLayout.WAITER_SIZE;
    }
    long detach = FrameLayout.GRANT_DETACH.get(buffer, at);
    return new PeerMessage.OwnGrant(
        FrameLayout.GRANT_ID.get(buffer, at),
        FrameLayout.GRANT_EPOCH.get(buffer, at),
        (int) Math.min(detach, Integer.MAX_VALUE),
        waiters);
  }

  private static void expect(int type, int payload, Layout layout, int restMax)
      throws MalformedException {
    if (payload < layout.size() || payload > layout.size() + restMax) {
      throw new MalformedException("frame of type " + type + " with a payload of " + payload);
    }
  }

  private static byte[] text(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    return bytes.length <= FrameLayout.TEXT_MAX
        ? bytes
        : Arrays.copyOf(bytes, FrameLayout.TEXT_MAX);
  }

  /** Text from the network ends in logs: one line, nothing but visible characters. */
  private static String text(byte[] bytes, int offset, int length) {
    return new String(bytes, offset, length, StandardCharsets.UTF_8)
        .replaceAll("[^\\x20-\\x7e]", "?");
  }
}
