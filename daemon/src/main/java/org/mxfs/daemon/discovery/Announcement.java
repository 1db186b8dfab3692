// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.discovery;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import org.mxfs.daemon.core.Fnv1a;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.AnnouncementLayout;
import org.mxfs.daemon.wire.Layout;
import org.mxfs.daemon.wire.MalformedException;
import org.mxfs.daemon.wire.Uuids;

/**
 * What a node says of itself.
 *
 * @param wantsAnswer the sender has just started: everybody says hello at once
 */
record Announcement(
    UUID nodeUuid,
    UUID volumeUuid,
    ReservationKey key,
    int port,
    String host,
    boolean wantsAnswer) {

  byte[] encode() {
    byte[] name = host.getBytes(StandardCharsets.UTF_8);
    int length = Math.min(name.length, AnnouncementLayout.HOST_MAX);
    byte[] bytes = new byte[AnnouncementLayout.LAYOUT.size() + length];
    ByteBuffer buffer = Layout.wrap(bytes, 0, bytes.length);
    AnnouncementLayout.MAGIC_FIELD.put(buffer, 0, AnnouncementLayout.MAGIC);
    AnnouncementLayout.VERSION_FIELD.put(buffer, 0, AnnouncementLayout.VERSION);
    AnnouncementLayout.PORT.put(buffer, 0, port);
    AnnouncementLayout.NODE_UUID.putUuid(buffer, 0, nodeUuid);
    AnnouncementLayout.VOLUME_UUID.putUuid(buffer, 0, volumeUuid);
    AnnouncementLayout.KEY.put(buffer, 0, key.value());
    AnnouncementLayout.FLAGS.put(buffer, 0, wantsAnswer ? AnnouncementLayout.FLAG_ANSWER : 0);
    AnnouncementLayout.HOST_LENGTH.put(buffer, 0, length);
    buffer.put(AnnouncementLayout.HOST.offset(), name, 0, length);
    return bytes;
  }

  static Announcement decode(byte[] bytes, int length) throws MalformedException {
    if (length < AnnouncementLayout.LAYOUT.size() || length > AnnouncementLayout.SIZE_MAX) {
      throw new MalformedException("announcement of " + length + " bytes");
    }
    ByteBuffer buffer = Layout.wrap(bytes, 0, length);
    long magic = AnnouncementLayout.MAGIC_FIELD.get(buffer, 0);
    if (magic != AnnouncementLayout.MAGIC) {
      throw new MalformedException("announcement with magic " + Long.toHexString(magic));
    }
    long version = AnnouncementLayout.VERSION_FIELD.get(buffer, 0);
    if (version != AnnouncementLayout.VERSION) {
      throw new MalformedException("announcement of version " + version);
    }
    int hostLength = (int) AnnouncementLayout.HOST_LENGTH.get(buffer, 0);
    if (AnnouncementLayout.HOST.offset() + hostLength != length) {
      throw new MalformedException("host name of " + hostLength + " bytes in " + length + " bytes");
    }
    int port = (int) AnnouncementLayout.PORT.get(buffer, 0);
    if (port == 0) {
      throw new MalformedException("announcement with TCP port 0");
    }
    UUID nodeUuid = AnnouncementLayout.NODE_UUID.getUuid(buffer, 0);
    ReservationKey key = new ReservationKey(AnnouncementLayout.KEY.get(buffer, 0));
    if (!ReservationKey.isSameNode(key.nodeId(), Fnv1a.nodeId(Uuids.bytes(nodeUuid)))) {
      throw new MalformedException(
          "node id " + key.nodeName() + " does not belong to the node UUID it comes with");
    }
    String host =
        printable(
            new String(
                bytes, AnnouncementLayout.HOST.offset(), hostLength, StandardCharsets.UTF_8));
    return new Announcement(
        nodeUuid,
        AnnouncementLayout.VOLUME_UUID.getUuid(buffer, 0),
        key,
        port,
        host,
        (AnnouncementLayout.FLAGS.get(buffer, 0) & AnnouncementLayout.FLAG_ANSWER) != 0);
  }

  /** Host names end in logs: nothing but visible characters gets there. */
  private static String printable(String text) {
    return text.replaceAll("[^\\x21-\\x7e]", "?");
  }
}
