// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.mxfs.bindings.linux.Netlink;
import org.mxfs.bindings.linux.nlattr;

/**
 * A list of netlink attributes ({@code struct nlattr}): read with the typed getters, made with
 * {@link #builder()}.
 *
 * <p>Integers are in the machine's byte order, as everywhere in netlink. Where a type occurs more
 * than once the last one counts, as in the kernel's own parser; {@link #all} gives every one.
 * Getters throw {@link MalformedMessageException} when the attribute is missing or has not the
 * length of its type; the two-argument forms return a default when it is missing.
 *
 * <p>Immutable; only the outer level is parsed, {@link #nested} parses the next.
 */
public final class Attributes {
  /** No attribute. */
  public static final Attributes EMPTY = new Attributes(new byte[0], 0, 0, new int[0], 0);

  private static final int HEADER = nlattr.SIZE;

  /**
   * Without the flags in the upper bits; {@code NLA_TYPE_MASK} is an {@code int} with its upper
   * half set.
   */
  private static final int TYPE_MASK = Netlink.NLA_TYPE_MASK & 0xffff;

  private final byte[] data;

  /** The list as it came: {@code data[from, from + length)}. */
  private final int from;

  private final int length;

  /** Three numbers for each attribute: type, payload offset, payload length; the rest is spare. */
  private final int[] index;

  private final int indexed;

  private Attributes(byte[] data, int from, int length, int[] index, int indexed) {
    this.data = data;
    this.from = from;
    this.length = length;
    this.index = index;
    this.indexed = indexed;
  }

  /**
   * Parses the attributes in {@code data}, which must be filled by them. Padding after the last one
   * may be missing.
   *
   * @throws MalformedMessageException if a length does not fit
   */
  public static Attributes parse(byte[] data) throws MalformedMessageException {
    return parse(data, 0, data.length);
  }

  /**
   * As {@link #parse(byte[])}, of a part of an array; {@code data} must not be changed afterwards.
   */
  static Attributes parse(byte[] data, int from, int length) throws MalformedMessageException {
    if (length == 0) {
      return EMPTY;
    }
    int end = from + length;
    int[] index = new int[3 * Math.clamp(length / (2 * HEADER), 1, 8)];
    int used = 0;
    int at = from;
    while (at < end) {
      int left = end - at;
      if (left < HEADER) {
        throw new MalformedMessageException(
            left + " bytes are left where an attribute should begin, at byte " + at);
      }
      int size = Numbers.u16(data, at + nlattr.OFFSET_nla_len);
      int type = Numbers.u16(data, at + nlattr.OFFSET_nla_type) & TYPE_MASK;
      if (size < HEADER || size > left) {
        throw new MalformedMessageException(
            "attribute " + type + " at byte " + at + " claims " + size + " bytes of " + left);
      }
      if (used + 3 > index.length) {
        index = Arrays.copyOf(index, index.length * 2);
      }
      index[used++] = type;
      index[used++] = at + HEADER;
      index[used++] = size - HEADER;
      // Alignment can pass the end only after the last attribute, whose padding may be missing.
      at += align(size);
    }
    return new Attributes(data, from, length, index, used);
  }

  /** Starts an empty list. */
  public static Builder builder() {
    return new Builder();
  }

  /** The types of all attributes, in their order, repeated ones included. */
  public List<Integer> types() {
    List<Integer> types = new ArrayList<>(size());
    for (int i = 0; i < indexed; i += 3) {
      types.add(index[i]);
    }
    return types;
  }

  /** How many attributes there are, repeated ones included. */
  public int size() {
    return indexed / 3;
  }

  /** Whether there is an attribute of this type; also the way to read a flag. */
  public boolean has(int type) {
    return find(type) >= 0;
  }

  private int find(int type) {
    for (int i = indexed - 3; i >= 0; i -= 3) {
      if (index[i] == type) {
        return i;
      }
    }
    return -1;
  }

  private int require(int type) throws MalformedMessageException {
    int i = find(type);
    if (i < 0) {
      throw new MalformedMessageException("attribute " + type + " is missing; there is " + this);
    }
    return i;
  }

  private int requireSize(int type, int size) throws MalformedMessageException {
    int i = require(type);
    if (index[i + 2] != size) {
      throw new MalformedMessageException(
          "attribute " + type + " has " + index[i + 2] + " bytes where " + size + " are due");
    }
    return index[i + 1];
  }

  /** An unsigned 8 bit number. */
  public int u8(int type) throws MalformedMessageException {
    return data[requireSize(type, 1)] & 0xff;
  }

  /** An unsigned 16 bit number. */
  public int u16(int type) throws MalformedMessageException {
    return Numbers.u16(data, requireSize(type, 2));
  }

  /** An unsigned 32 bit number. */
  public long u32(int type) throws MalformedMessageException {
    return Integer.toUnsignedLong(s32(type));
  }

  /** A signed 32 bit number, or the bits of an unsigned one. */
  public int s32(int type) throws MalformedMessageException {
    return Numbers.s32(data, requireSize(type, 4));
  }

  /** A 64 bit number; unsigned ones keep their bits. */
  public long u64(int type) throws MalformedMessageException {
    return Numbers.u64(data, requireSize(type, 8));
  }

  /** An unsigned number of 32 or 64 bits, whichever the sender took ({@code NLA_UINT}). */
  public long uint(int type) throws MalformedMessageException {
    return index[require(type) + 2] == Integer.BYTES ? u32(type) : u64(type);
  }

  /** {@link #u16(int)}, or {@code otherwise} if there is none. */
  public int u16(int type, int otherwise) throws MalformedMessageException {
    return has(type) ? u16(type) : otherwise;
  }

  /** {@link #u32(int)}, or {@code otherwise} if there is none. */
  public long u32(int type, long otherwise) throws MalformedMessageException {
    return has(type) ? u32(type) : otherwise;
  }

  /** {@link #u64(int)}, or {@code otherwise} if there is none. */
  public long u64(int type, long otherwise) throws MalformedMessageException {
    return has(type) ? u64(type) : otherwise;
  }

  /** Text in UTF-8, up to its NUL or, without one, to its end. */
  public String string(int type) throws MalformedMessageException {
    return text(require(type));
  }

  /** {@link #string}, if there is one. */
  public Optional<String> findString(int type) {
    int i = find(type);
    return i < 0 ? Optional.empty() : Optional.of(text(i));
  }

  private String text(int i) {
    int from = index[i + 1];
    int end = from;
    while (end < from + index[i + 2] && data[end] != 0) {
      end++;
    }
    return new String(data, from, end - from, StandardCharsets.UTF_8);
  }

  /** A copy of the payload. */
  public byte[] bytes(int type) throws MalformedMessageException {
    int i = require(type);
    return Arrays.copyOfRange(data, index[i + 1], index[i + 1] + index[i + 2]);
  }

  /** The attributes inside an attribute. */
  public Attributes nested(int type) throws MalformedMessageException {
    int i = require(type);
    return parse(data, index[i + 1], index[i + 2]);
  }

  /** The attributes inside every attribute of this type, in their order. */
  public List<Attributes> all(int type) throws MalformedMessageException {
    List<Attributes> all = new ArrayList<>();
    for (int i = 0; i < indexed; i += 3) {
      if (index[i] == type) {
        all.add(parse(data, index[i + 1], index[i + 2]));
      }
    }
    return all;
  }

  /**
   * The elements of an array attribute: a nested list whose attribute types are only numbers of
   * elements, each element itself a list.
   */
  public List<Attributes> array(int type) throws MalformedMessageException {
    Attributes elements = nested(type);
    List<Attributes> all = new ArrayList<>();
    for (int i = 0; i < elements.indexed; i += 3) {
      all.add(parse(data, elements.index[i + 1], elements.index[i + 2]));
    }
    return all;
  }

  /** The numbers of an attribute that is nothing but 32 bit numbers, unsigned. */
  public long[] u32s(int type) throws MalformedMessageException {
    int i = require(type);
    int length = index[i + 2];
    if (length % Integer.BYTES != 0) {
      throw new MalformedMessageException(
          "attribute " + type + " has " + length + " bytes, which are no 32 bit numbers");
    }
    long[] numbers = new long[length / Integer.BYTES];
    for (int n = 0; n < numbers.length; n++) {
      numbers[n] = Integer.toUnsignedLong(Numbers.s32(data, index[i + 1] + n * Integer.BYTES));
    }
    return numbers;
  }

  /** Types and payloads in hexadecimal, long payloads shortened. */
  @Override
  public String toString() {
    StringBuilder s = new StringBuilder("[");
    for (int i = 0; i < indexed; i += 3) {
      int shown = Math.min(index[i + 2], 32);
      s.append(i == 0 ? "" : ", ").append(index[i]).append('=');
      s.append(HexFormat.of().formatHex(data, index[i + 1], index[i + 1] + shown));
      if (shown < index[i + 2]) {
        s.append("… (").append(index[i + 2]).append(" bytes)");
      }
    }
    return s.append(']').toString();
  }

  /** The attributes as they go into a message, each padded. Not to be changed. */
  byte[] encoded() {
    int padded = align(length);
    return from == 0 && padded == data.length
        ? data
        : Arrays.copyOf(Arrays.copyOfRange(data, from, from + length), padded);
  }

  private static int align(int length) {
    return (length + Netlink.NLA_ALIGNTO - 1) & -Netlink.NLA_ALIGNTO;
  }

  /** Collects attributes in order. Not thread-safe. */
  public static final class Builder {
    private byte[] data = new byte[64];
    private int used;

    private Builder() {}

    /** Adds an unsigned 8 bit number. */
    public Builder u8(int type, int value) {
      return number(type, 1, range(value, 0xffL));
    }

    /** Adds an unsigned 16 bit number. */
    public Builder u16(int type, int value) {
      return number(type, 2, range(value, 0xffffL));
    }

    /** Adds an unsigned 32 bit number. */
    public Builder u32(int type, long value) {
      return number(type, 4, range(value, 0xffffffffL));
    }

    /** Adds a signed 32 bit number. */
    public Builder s32(int type, int value) {
      return number(type, 4, value);
    }

    /** Adds a 64 bit number. */
    public Builder u64(int type, long value) {
      return number(type, 8, value);
    }

    /** Adds text in UTF-8 with its terminating NUL. */
    public Builder string(int type, String value) {
      if (value.indexOf('\0') >= 0) {
        throw new IllegalArgumentException("attribute " + type + ": text with a NUL in it");
      }
      return put(type, value.getBytes(StandardCharsets.UTF_8), 1);
    }

    /** Adds bytes as they are. */
    public Builder bytes(int type, byte[] value) {
      return put(type, value);
    }

    /** Adds an attribute that says something by being there. */
    public Builder flag(int type) {
      return put(type, new byte[0]);
    }

    /** Adds an attribute that holds those which {@code inner} adds. */
    public Builder nested(int type, Consumer<Builder> inner) {
      Builder b = new Builder();
      inner.accept(b);
      checkType(type);
      return raw(type | Netlink.NLA_F_NESTED, Arrays.copyOf(b.data, b.used), 0);
    }

    /**
     * Adds an array: an attribute that holds one for each element, numbered from 1, each holding
     * what its consumer adds.
     */
    public Builder array(int type, List<Consumer<Builder>> elements) {
      return nested(
          type,
          array -> {
            for (int i = 0; i < elements.size(); i++) {
              array.nested(i + 1, elements.get(i));
            }
          });
    }

    /** Adds 32 bit numbers, unsigned, one behind the other in one attribute. */
    public Builder u32s(int type, long... values) {
      byte[] payload = new byte[values.length * Integer.BYTES];
      for (int i = 0; i < values.length; i++) {
        Numbers.s32(payload, i * Integer.BYTES, (int) range(values[i], 0xffffffffL));
      }
      return put(type, payload);
    }

    /** The finished list. */
    public Attributes build() {
      try {
        return parse(Arrays.copyOf(data, used));
      } catch (MalformedMessageException e) {
        throw new IllegalStateException("the builder made what the parser refuses", e);
      }
    }

    private static long range(long value, long max) {
      if (value < 0 || value > max) {
        throw new IllegalArgumentException(value + " is not between 0 and " + max);
      }
      return value;
    }

    private Builder number(int type, int size, long value) {
      byte[] payload = new byte[size];
      switch (size) {
        case 1 -> payload[0] = (byte) value;
        case 2 -> Numbers.u16(payload, 0, (int) value);
        case 4 -> Numbers.s32(payload, 0, (int) value);
        default -> Numbers.u64(payload, 0, value);
      }
      return put(type, payload);
    }

    private static void checkType(int type) {
      if (type < 0 || type > TYPE_MASK) {
        throw new IllegalArgumentException("attribute type " + type + " is out of range");
      }
    }

    private Builder put(int type, byte[] payload) {
      return put(type, payload, 0);
    }

    private Builder put(int type, byte[] payload, int zeros) {
      checkType(type);
      return raw(type, payload, zeros);
    }

    private Builder raw(int type, byte[] payload, int zeros) {
      int size = HEADER + payload.length + zeros;
      if (size > 0xffff) {
        throw new IllegalArgumentException(
            "attribute " + type + " would have " + size + " bytes; the format ends at 65535");
      }
      int padded = align(size);
      if (used + padded > data.length) {
        data = Arrays.copyOf(data, Math.max(data.length * 2, used + padded));
      }
      Numbers.u16(data, used + nlattr.OFFSET_nla_len, size);
      Numbers.u16(data, used + nlattr.OFFSET_nla_type, type);
      System.arraycopy(payload, 0, data, used + HEADER, payload.length);
      used += padded;
      return this;
    }
  }
}
