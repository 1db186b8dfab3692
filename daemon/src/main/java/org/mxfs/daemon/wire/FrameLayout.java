// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.wire;

import java.util.List;
import org.mxfs.daemon.wire.Layout.Kind;

/** What goes over a TCP connection between two daemons: a header, and what the type says. */
public final class FrameLayout {
  public static final int MAGIC = 0x5053_584d; // "MXSP"
  public static final int VERSION = 2;

  /** Bytes of a frame, header included. */
  public static final int SIZE_MAX = 4096;

  public static final int TEXT_MAX = 512;

  /** Frame types. */
  public static final int HELLO = 1;

  public static final int PING = 2;
  public static final int OWN_REQUEST = 16;
  public static final int OWN_GRANT = 17;
  public static final int OWN_TAKEN = 18;
  public static final int OWN_DECLINE = 19;
  public static final int OWN_REDIRECT = 20;
  public static final int OWN_BUSY = 21;
  public static final int LEAVE = 22;

  public static final Layout HEADER = new Layout("Frame header (TCP)");
  public static final Layout.Field LENGTH =
      HEADER.add(Kind.U32, "length", "bytes of the whole frame, at most 4096");
  public static final Layout.Field MAGIC_FIELD = HEADER.add(Kind.U32, "magic", "the bytes `MXSP`");
  public static final Layout.Field VERSION_FIELD = HEADER.add(Kind.U16, "version", "2");
  public static final Layout.Field TYPE = HEADER.add(Kind.U16, "type", "see below");
  public static final Layout.Field VOLUME_UUID = HEADER.add(Kind.UUID, "volume UUID", "");
  public static final Layout.Field KEY =
      HEADER.add(Kind.U64, "key", "the sender's registration key: node id and incarnation");
  public static final Layout.Field EPOCH =
      HEADER.add(Kind.U64, "epoch", "the highest one the sender knows");

  public static final Layout HELLO_LAYOUT =
      new Layout("1 HELLO: first on a connection, from both ends; again when mounted");
  public static final Layout.Field HELLO_MOUNTED =
      HELLO_LAYOUT.add(Kind.U16, "mounted", "1: mount(2) has returned on the sender, 0: not yet");
  public static final Layout.Field HELLO_OPTIONS =
      HELLO_LAYOUT.add(Kind.U16, "options", "bytes of the options, at most 512");
  public static final Layout.Field HELLO_TEXT =
      HELLO_LAYOUT.add(
          Kind.REST,
          "text",
          "UTF-8: mxfs.takeover where the node takes over, and XFS's mount options, in one form, of"
              + " which what is too long is a number; then the host name, to the end of the frame,"
              + " at most 512 bytes");

  public static final Layout PING_LAYOUT =
      new Layout("2 PING: every second, and when the key has changed; no payload");

  public static final Layout REQUEST_LAYOUT = new Layout("16 OWN_REQUEST");
  public static final Layout.Field REQUEST_ID =
      REQUEST_LAYOUT.add(Kind.U64, "request id", "larger than every earlier one of the node");

  public static final Layout GRANT_LAYOUT = new Layout("17 OWN_GRANT");
  public static final Layout.Field GRANT_ID =
      GRANT_LAYOUT.add(Kind.U64, "request id", "the grant is good for this request only");
  public static final Layout.Field GRANT_EPOCH =
      GRANT_LAYOUT.add(Kind.U64, "new epoch", "the new owner starts at this one or a higher one");
  public static final Layout.Field GRANT_DETACH =
      GRANT_LAYOUT.add(Kind.U32, "detach ms", "how long the granter took to detach XFS");
  public static final Layout.Field GRANT_WAITERS =
      GRANT_LAYOUT.add(Kind.U32, "waiters", "how many follow, at most 64");
  public static final Layout.Field GRANT_LIST =
      GRANT_LAYOUT.add(Kind.REST, "list", "who waits next, in order: U64 key, U64 request id each");
  public static final int WAITER_SIZE = 16;

  public static final Layout TAKEN_LAYOUT = new Layout("18 OWN_TAKEN");
  public static final Layout.Field TAKEN_EPOCH =
      TAKEN_LAYOUT.add(Kind.U64, "epoch", "of the new tenure");

  public static final Layout DECLINE_LAYOUT = new Layout("19 OWN_DECLINE");
  public static final Layout.Field DECLINE_ID =
      DECLINE_LAYOUT.add(Kind.U64, "request id", "will never be used");

  public static final Layout REDIRECT_LAYOUT = new Layout("20 OWN_REDIRECT");
  public static final Layout.Field REDIRECT_ID = REDIRECT_LAYOUT.add(Kind.U64, "request id", "");
  public static final Layout.Field REDIRECT_HOLDER =
      REDIRECT_LAYOUT.add(Kind.U64, "holder", "key, as far as the sender knows; 0: it does not");

  public static final Layout BUSY_LAYOUT = new Layout("21 OWN_BUSY");
  public static final Layout.Field BUSY_ID = BUSY_LAYOUT.add(Kind.U64, "request id", "");
  public static final Layout.Field BUSY_TEXT =
      BUSY_LAYOUT.add(Kind.REST, "reason", "UTF-8, to the end of the frame, at most 512 bytes");

  public static final Layout LEAVE_LAYOUT = new Layout("22 LEAVE: no payload");

  /** Everything, in the order of the documentation. */
  public static final List<Layout> ALL =
      List.of(
          HEADER,
          HELLO_LAYOUT,
          PING_LAYOUT,
          REQUEST_LAYOUT,
          GRANT_LAYOUT,
          TAKEN_LAYOUT,
          DECLINE_LAYOUT,
          REDIRECT_LAYOUT,
          BUSY_LAYOUT,
          LEAVE_LAYOUT);

  private FrameLayout() {}
}
