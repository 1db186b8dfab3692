// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Writes JSON (RFC 8259); {@link JsonValue} reads it. */
final class Json {
  private Json() {}

  static String string(String value) {
    StringBuilder json = new StringBuilder("\"");
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      switch (c) {
        case '"' -> json.append("\\\"");
        case '\\' -> json.append("\\\\");
        default -> {
          if (c < ' ' || (c >= 0x7f && c < 0xa0) || Character.isSurrogate(c) || isFormat(c)) {
            json.append("\\u%04x".formatted((int) c));
          } else {
            json.append(c);
          }
        }
      }
    }
    return json.append('"').toString();
  }

  /** What turns the direction of a terminal's text, for instance. */
  private static boolean isFormat(char c) {
    return Character.getType(c) == Character.FORMAT;
  }

  /** Of text, in the order of its names. */
  static String object(Map<String, String> values) {
    return new TreeMap<>(values)
        .entrySet().stream()
            .map(e -> string(e.getKey()) + ":" + string(e.getValue()))
            .collect(Collectors.joining(",", "{", "}"));
  }

  static <T> String list(List<T> values, Function<T, String> writer) {
    return values.stream().map(writer).collect(Collectors.joining(",", "[", "]"));
  }
}
