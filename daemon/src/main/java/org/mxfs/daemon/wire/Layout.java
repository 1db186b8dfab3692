// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/** Fields one after the other, without padding, all integers little-endian. */
public final class Layout {
  /** What a field holds. */
  public enum Kind {
    U16(2),
    U32(4),
    U64(8),
    /** 16 bytes in the order in which a UUID is written. */
    UUID(16),
    /** What is left: described in words. */
    REST(0);

    private final int size;

    Kind(int size) {
      this.size = size;
    }
  }

  /** One field of one layout. */
  public static final class Field {
    private final String name;
    private final Kind kind;
    private final int offset;
    private final String meaning;

    /** Bytes; 0: as its kind says. */
    private final int bytes;

    private Field(String name, Kind kind, int offset, String meaning, int bytes) {
      this.name = name;
      this.kind = kind;
      this.offset = offset;
      this.meaning = meaning;
      this.bytes = bytes;
    }

    public int offset() {
      return offset;
    }

    /** Reads at {@code base} + offset. */
    public long get(ByteBuffer buffer, int base) {
      return switch (kind) {
        case U16 -> Short.toUnsignedLong(buffer.getShort(base + offset));
        case U32 -> Integer.toUnsignedLong(buffer.getInt(base + offset));
        case U64 -> buffer.getLong(base + offset);
        case UUID, REST -> throw new IllegalStateException(name + " is not a number");
      };
    }

    public void put(ByteBuffer buffer, int base, long value) {
      switch (kind) {
        case U16 -> buffer.putShort(base + offset, (short) value);
        case U32 -> buffer.putInt(base + offset, (int) value);
        case U64 -> buffer.putLong(base + offset, value);
        case UUID, REST -> throw new IllegalStateException(name + " is not a number");
      }
    }

    public UUID getUuid(ByteBuffer buffer, int base) {
      byte[] bytes = new byte[Kind.UUID.size];
      buffer.get(base + offset, bytes);
      return Uuids.of(bytes);
    }

    public void putUuid(ByteBuffer buffer, int base, UUID uuid) {
      buffer.put(base + offset, Uuids.bytes(uuid));
    }
  }

  private final String title;
  private final List<Field> fields = new ArrayList<>();
  private int size;

  public Layout(String title) {
    this.title = title;
  }

  /** Adds a field at the end. */
  public Field add(Kind kind, String name, String meaning) {
    Field field = new Field(name, kind, size, meaning, 0);
    fields.add(field);
    size += kind.size;
    return field;
  }

  /** Adds so many bytes that are no number. */
  public Field pad(String name, int bytes, String meaning) {
    Field field = new Field(name, Kind.REST, size, meaning, bytes);
    fields.add(field);
    size += bytes;
    return field;
  }

  /** Bytes of all fields, without the {@link Kind#REST}. */
  public int size() {
    return size;
  }

  /** A view of bytes in the byte order of all layouts. */
  public static ByteBuffer wrap(byte[] bytes, int offset, int length) {
    return ByteBuffer.wrap(bytes, offset, length).slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The table for the documentation. */
  public String markdown() {
    StringBuilder text = new StringBuilder();
    text.append("**").append(title).append("**\n\n");
    if (fields.isEmpty()) {
      return text.toString();
    }
    text.append("| offset | size | field | meaning |\n| ---: | ---: | --- | --- |\n");
    for (Field field : fields) {
      text.append("| ")
          .append(field.offset)
          .append(" | ")
          .append(
              field.bytes != 0
                  ? String.valueOf(field.bytes)
                  : field.kind == Kind.REST ? "…" : String.valueOf(field.kind.size))
          .append(" | ")
          .append(field.name)
          .append(" | ")
          .append(field.meaning)
          .append(" |\n");
    }
    return text.toString();
  }
}
