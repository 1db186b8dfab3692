// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.wire;

/** The discovery packet: one UDP datagram. */
public final class AnnouncementLayout {
  public static final int MAGIC = 0x4453_584d; // "MXSD"
  public static final int VERSION = 1;
  public static final int HOST_MAX = 64;

  public static final Layout LAYOUT = new Layout("Announcement (UDP)");
  public static final Layout.Field MAGIC_FIELD =
      LAYOUT.add(Layout.Kind.U32, "magic", "the bytes `MXSD`");
  public static final Layout.Field VERSION_FIELD = LAYOUT.add(Layout.Kind.U16, "version", "1");
  public static final Layout.Field PORT =
      LAYOUT.add(Layout.Kind.U16, "port", "TCP port of the daemon");
  public static final Layout.Field NODE_UUID = LAYOUT.add(Layout.Kind.UUID, "node UUID", "");
  public static final Layout.Field VOLUME_UUID =
      LAYOUT.add(Layout.Kind.UUID, "volume UUID", "`sb_uuid` as on disk");
  public static final Layout.Field KEY =
      LAYOUT.add(
          Layout.Kind.U64,
          "key",
          "node id in the high half, incarnation in the low half; incarnation 0: not registered"
              + " yet");
  public static final Layout.Field FLAGS =
      LAYOUT.add(Layout.Kind.U16, "flags", "bit 0: answer, the sender is new");
  public static final Layout.Field HOST_LENGTH =
      LAYOUT.add(Layout.Kind.U16, "host length", "bytes, at most 64");
  public static final Layout.Field HOST = LAYOUT.add(Layout.Kind.REST, "host name", "UTF-8");

  public static final int FLAG_ANSWER = 1;
  public static final int SIZE_MAX = LAYOUT.size() + HOST_MAX;

  private AnnouncementLayout() {}
}
