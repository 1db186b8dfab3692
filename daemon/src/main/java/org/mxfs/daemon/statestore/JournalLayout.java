// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import java.util.List;
import org.mxfs.daemon.wire.Layout;
import org.mxfs.daemon.wire.Layout.Field;
import org.mxfs.daemon.wire.Layout.Kind;

/** What the store writes. Every number is little-endian; a checksum is CRC-32C (RFC 3720 B.4). */
public final class JournalLayout {
  static final int HALF_MAGIC = 0x4a53_584d; // "MXSJ"
  static final int BATCH_MAGIC = 0x4253_584d; // "MXSB"
  static final int VERSION = 1;

  static final int PUT = 1;
  static final int DELETE = 2;

  private static final Layout HALF = new Layout("Journal: first block of a half");
  static final Field HALF_MAGIC_FIELD = HALF.add(Kind.U32, "magic", "the bytes `MXSJ`");
  static final Field HALF_VERSION = HALF.add(Kind.U16, "version", "1");
  static final Field HALF_RESERVED = HALF.add(Kind.U16, "reserved", "0");
  static final Field HALF_STORE = HALF.add(Kind.UUID, "store", "made with the store");
  static final Field HALF_GENERATION =
      HALF.add(Kind.U64, "generation", "the valid half with the larger one is the store");
  static final Field HALF_EPOCH = HALF.add(Kind.U64, "epoch", "of who wrote it");
  static final Field HALF_SALT =
      HALF.add(Kind.U64, "salt", "random; in every batch of this half and generation");
  static final Field HALF_BYTES = HALF.add(Kind.U64, "half bytes", "this block included");
  static final Field HALF_SEQUENCE = HALF.add(Kind.U64, "sequence", "of the first batch");
  static final Field HALF_SNAPSHOT =
      HALF.add(
          Kind.U64,
          "snapshot end",
          "position in the half; the batches before it were durable before this block was written");
  static final Field HALF_CHANGE = HALF.add(Kind.U64, "change", "number of the last change in it");
  static final Field HALF_CRC = HALF.add(Kind.U32, "checksum", "of all bytes before it");
  static final int HALF_SIZE = HALF.size();

  private static final Layout BATCH =
      new Layout("Journal: a batch, at the start of a block; what it holds took effect as one");
  static final Field BATCH_MAGIC_FIELD = BATCH.add(Kind.U32, "magic", "the bytes `MXSB`");
  static final Field BATCH_VERSION = BATCH.add(Kind.U16, "version", "1");
  static final Field BATCH_RESERVED = BATCH.add(Kind.U16, "reserved", "0");
  static final Field BATCH_SALT = BATCH.add(Kind.U64, "salt", "as in the half");
  static final Field BATCH_SEQUENCE =
      BATCH.add(Kind.U64, "sequence", "one more than in the batch before");
  static final Field BATCH_POSITION = BATCH.add(Kind.U64, "position", "of this block in the half");
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
  public static final List<Layout> ALL = List.of(HALF, BATCH, ENTRY);

  private JournalLayout() {}
}
