// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.control;

import org.jspecify.annotations.Nullable;

/** Writes one JSON text (RFC 8259), from the outside in; nothing checks the order of calls. */
final class Json {
  private final StringBuilder text = new StringBuilder(1_024);
  private boolean comma;

  private Json before(@Nullable String name) {
    if (comma) {
      text.append(',');
    }
    comma = true;
    if (name != null) {
      string(name);
      text.append(':');
    }
    return this;
  }

  /** Begins an object: the whole, or one in a list. */
  Json begin() {
    before(null).text.append('{');
    comma = false;
    return this;
  }

  Json begin(String name) {
    before(name).text.append('{');
    comma = false;
    return this;
  }

  Json end() {
    text.append('}');
    comma = true;
    return this;
  }

  Json beginList(String name) {
    before(name).text.append('[');
    comma = false;
    return this;
  }

  Json endList() {
    text.append(']');
    comma = true;
    return this;
  }

  Json put(String name, @Nullable String value) {
    before(name);
    if (value == null) {
      text.append("null");
    } else {
      string(value);
    }
    return this;
  }

  Json put(String name, long value) {
    before(name).text.append(value);
    return this;
  }

  Json put(String name, boolean value) {
    before(name).text.append(value);
    return this;
  }

  Json putNull(String name) {
    before(name).text.append("null");
    return this;
  }

  /** Other nodes' words are among it: all that is not plain ASCII is escaped. */
  private void string(String value) {
    text.append('"');
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      if (c == '"' || c == '\\') {
        text.append('\\').append(c);
      } else if (c < ' ' || c > '~') {
        text.append("\\u");
        for (int shift = 12; shift >= 0; shift -= 4) {
          text.append(Character.forDigit(c >> shift & 0xf, 16));
        }
      } else {
        text.append(c);
      }
    }
    text.append('"');
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
