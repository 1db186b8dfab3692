// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import java.nio.charset.StandardCharsets;

/**
 * The name of a value: a path such as {@code /state/keystore/6b0caf7f}, in the one form that {@link
 * #of} gives every way of writing it. Keys are ordered as their bytes are.
 */
public final class Key implements Comparable<Key> {
  /** Bytes, slashes included. */
  public static final int LENGTH_MAX = 255;

  /** Above all keys; no value can have this name. */
  public static final Key ROOT = new Key("/");

  private final String text;

  private Key(String text) {
    this.text = text;
  }

  /**
   * The key that {@code written} means. A slash at the start may be left out; several slashes count
   * as one, and those at the end do not count.
   *
   * @throws IllegalArgumentException for an empty name, a part named {@code .} or {@code ..}, any
   *     character but letters, digits and {@code . _ - : @ +} of ASCII, or more than {@link
   *     #LENGTH_MAX} bytes
   */
  public static Key of(String written) {
    StringBuilder text = new StringBuilder();
    for (String part : written.split("/+", -1)) {
      if (part.isEmpty()) {
        continue;
      }
      check(written, part);
      text.append('/').append(part);
    }
    if (text.isEmpty()) {
      throw new IllegalArgumentException(refusal(written, "no name in it"));
    }
    if (text.length() > LENGTH_MAX) {
      throw new IllegalArgumentException(
          refusal(written, text.length() + " bytes are more than " + LENGTH_MAX));
    }
    return new Key(text.toString());
  }

  private static void check(String written, String part) {
    if (part.equals(".") || part.equals("..")) {
      throw new IllegalArgumentException(refusal(written, "'" + part + "' is no name"));
    }
    for (int i = 0; i < part.length(); i++) {
      char c = part.charAt(i);
      boolean good =
          (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9')
              || "._-:@+".indexOf(c) >= 0;
      if (!good) {
        throw new IllegalArgumentException(
            refusal(written, "character U+%04X cannot be in a name".formatted((int) c)));
      }
    }
  }

  private static String refusal(String written, String why) {
    String shown = written.length() <= 64 ? written : written.substring(0, 64) + "…";
    return "key '" + shown.replaceAll("\\p{Cntrl}", "?") + "': " + why;
  }

  /** Whether this key lies below {@code folder}, at any depth. */
  public boolean isBelow(Key folder) {
    return !equals(folder)
        && (folder.text.length() == 1 || text.startsWith(folder.text + "/"))
        && text.length() > folder.text.length();
  }

  byte[] bytes() {
    return text.getBytes(StandardCharsets.US_ASCII);
  }

  int length() {
    return text.length();
  }

  @Override
  public int compareTo(Key other) {
    return text.compareTo(other.text);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Key key && key.text.equals(text);
  }

  @Override
  public int hashCode() {
    return text.hashCode();
  }

  /** The normal form. */
  @Override
  public String toString() {
    return text;
  }
}
