// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import java.util.List;
import org.mxfs.daemon.wire.Layout;
import org.mxfs.daemon.wire.Layout.Field;
import org.mxfs.daemon.wire.Layout.Kind;

/** What the store writes. Every number is little-endian; a checksum is CRC-32C (RFC 3720 B.4). */
public final class JournalLayout {
  static final int CLAIM_MAGIC = 0x4353_584d; // "MXSC"
  static final int HEAD_MAGIC = 0x4a53_584d; // "MXSJ"
  static final int BATCH_MAGIC = 0x4253_584d; // "MXSB"
  static final int VERSION = 1;

  static final int PUT = 1;
  static final int DELETE = 2;

  private static final Layout CLAIM =
      new Layout("Journal: a claim, a block of the ring at the start");
  static final Field CLAIM_MAGIC_FIELD = CLAIM.add(Kind.U32, "magic", "the bytes `MXSC`");
  static final Field CLAIM_VERSION = CLAIM.add(Kind.U16, "version", "1");
  static final Field CLAIM_RESERVED = CLAIM.add(Kind.U16, "reserved", "0");
  static final Field CLAIM_STORE = CLAIM.add(Kind.UUID, "store", "made with the store");
  static final Field CLAIM_OPENING =
      CLAIM.add(Kind.U64, "opening", "who has claimed it: each opening has the next number");
  static final Field CLAIM_OVER =
      CLAIM.add(Kind.U64, "over before", "the writes of all openings below this one are over");
  static final Field CLAIM_CRC = CLAIM.add(Kind.U32, "checksum", "of all bytes before it");

  private static final Layout HEAD =
      new Layout("Journal: head of a segment, in its first block and again in its last");
  static final Field HEAD_MAGIC_FIELD = HEAD.add(Kind.U32, "magic", "the bytes `MXSJ`");
  static final Field HEAD_VERSION = HEAD.add(Kind.U16, "version", "1");
  static final Field HEAD_RESERVED = HEAD.add(Kind.U16, "reserved", "0");
  static final Field HEAD_STORE = HEAD.add(Kind.UUID, "store", "made with the store");
  static final Field HEAD_OPENING =
      HEAD.add(
          Kind.U64, "opening", "of who wrote it; the valid segment with the largest is the store");
  static final Field HEAD_GENERATION =
      HEAD.add(
          Kind.U64, "generation", "of two segments of one opening the larger one is the store");
  static final Field HEAD_EPOCH = HEAD.add(Kind.U64, "epoch", "of who wrote it");
  static final Field HEAD_SALT =
      HEAD.add(Kind.U64, "salt", "random; in every batch of this segment and generation");
  static final Field HEAD_BYTES = HEAD.add(Kind.U64, "segment bytes", "both heads included");
  static final Field HEAD_SEQUENCE = HEAD.add(Kind.U64, "sequence", "of the first batch");
  static final Field HEAD_SNAPSHOT =
      HEAD.add(
          Kind.U64,
          "snapshot end",
          "position in the segment; the batches before it were durable before this was written");
  static final Field HEAD_CHANGE = HEAD.add(Kind.U64, "change", "number of the last change in it");
  static final Field HEAD_CRC = HEAD.add(Kind.U32, "checksum", "of all bytes before it");

  private static final Layout BATCH =
      new Layout("Journal: a batch, at the start of a block; what it holds took effect as one");
  static final Field BATCH_MAGIC_FIELD = BATCH.add(Kind.U32, "magic", "the bytes `MXSB`");
  static final Field BATCH_VERSION = BATCH.add(Kind.U16, "version", "1");
  static final Field BATCH_RESERVED = BATCH.add(Kind.U16, "reserved", "0");
  static final Field BATCH_SALT = BATCH.add(Kind.U64, "salt", "as in the head");
  static final Field BATCH_SEQUENCE =
      BATCH.add(Kind.U64, "sequence", "one more than in the batch before");
  static final Field BATCH_POSITION =
      BATCH.add(Kind.U64, "position", "of this block in the segment");
  static final Field BATCH_CHANGE =
      BATCH.add(Kind.U64, "change", "number of the last change up to here");
  static final Field BATCH_BYTES = BATCH.add(Kind.U32, "bytes", "of all entries; at most 131,024");
  static final Field BATCH_CRC =
      BATCH.add(Kind.U32, "checksum", "of this header up to here, and of the entries");
  static final int BATCH_SIZE = BATCH.size();

  private static final Layout ENTRY = new Layout("Journal: an entry of a batch");
  static final Field ENTRY_KIND = ENTRY.add(Kind.U16, "kind", "1: put, 2: delete");
  static final Field ENTRY_KEY = ENTRY.add(Kind.U16, "key bytes", "1 to 255");
  static final Field ENTRY_VALUE =
      ENTRY.add(Kind.U32, "value bytes", "at most 65,536; of a delete 0");
  static final Field ENTRY_VERSION = ENTRY.add(Kind.U64, "version", "number of this change");
  static final Field ENTRY_REST = ENTRY.add(Kind.REST, "key, value", "the key in its normal form");
  static final int ENTRY_SIZE = ENTRY.size();

  /** In the order of the documentation. */
  public static final List<Layout> ALL = List.of(CLAIM, HEAD, BATCH, ENTRY);

  private JournalLayout() {}
}
