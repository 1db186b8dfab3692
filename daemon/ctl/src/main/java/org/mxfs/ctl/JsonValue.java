// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A JSON text (RFC 8259) that was read. What is not there, or is of another type than was asked
 * for, is null, zero, false or empty: a newer daemon may say other things.
 */
final class JsonValue {
  /** What is no JSON, or more of it than anybody means to send. */
  static final class MalformedException extends Exception {
    private static final long serialVersionUID = 1L;

    MalformedException(String message) {
      super(message);
    }
  }

  private static final JsonValue NULL = new JsonValue(null);

  private final @Nullable Object value;

  private JsonValue(@Nullable Object value) {
    this.value = value;
  }

  static JsonValue read(String text) throws MalformedException {
    return new Reader(text).whole();
  }

  boolean isNull() {
    return value == null;
  }

  JsonValue get(String name) {
    return value instanceof Map<?, ?> map && map.get(name) instanceof JsonValue found
        ? found
        : NULL;
  }

  List<JsonValue> list() {
    List<JsonValue> all = new ArrayList<>();
    if (value instanceof List<?> list) {
      for (Object each : list) {
        if (each instanceof JsonValue item) {
          all.add(item);
        }
      }
    }
    return all;
  }

  @Nullable String text() {
    return value instanceof String text ? text : null;
  }

  String textOr(String otherwise) {
    return value instanceof String text ? text : otherwise;
  }

  long number() {
    return value instanceof Number number ? number.longValue() : 0;
  }

  boolean isTrue() {
    return Boolean.TRUE.equals(value);
  }

  private static final class Reader {
    private static final int DEPTH_MAX = 32;

    private final String text;
    private int at;
    private int depth;

    Reader(String text) {
      this.text = text;
    }

    JsonValue whole() throws MalformedException {
      JsonValue value = value();
      space();
      if (at != text.length()) {
        throw wrong("something behind the end");
      }
      return value;
    }

    private MalformedException wrong(String what) {
      return new MalformedException("no JSON at character " + at + ": " + what);
    }

    private void space() {
      while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
        at++;
      }
    }

    private char next() throws MalformedException {
      if (at >= text.length()) {
        throw wrong("it ends");
      }
      return text.charAt(at++);
    }

    /** Whether the next character that is no space is this one; it is taken then. */
    private boolean takes(char wanted) {
      space();
      if (at < text.length() && text.charAt(at) == wanted) {
        at++;
        return true;
      }
      return false;
    }

    private void expect(char wanted) throws MalformedException {
      if (!takes(wanted)) {
        throw wrong("no " + wanted);
      }
    }

    private JsonValue value() throws MalformedException {
      if (++depth > DEPTH_MAX) {
        throw wrong("more than " + DEPTH_MAX + " deep");
      }
      space();
      JsonValue read =
          switch (next()) {
            case '{' -> object();
            case '[' -> array();
            case '"' -> new JsonValue(string());
            case 't' -> word("true", true);
            case 'f' -> word("false", false);
            case 'n' -> word("null", null);
            default -> number();
          };
      depth--;
      return read;
    }

    private JsonValue word(String word, @Nullable Object value) throws MalformedException {
      if (!text.startsWith(word, at - 1)) {
        throw wrong("no value");
      }
      at += word.length() - 1;
      return new JsonValue(value);
    }

    private JsonValue number() throws MalformedException {
      int from = --at;
      while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
        at++;
      }
      String digits = text.substring(from, at);
      try {
        if (digits.matches("-?[0-9]+")) {
          return new JsonValue(Long.valueOf(digits));
        }
        return new JsonValue(Double.valueOf(digits));
      } catch (NumberFormatException e) {
        throw wrong("no number: " + digits);
      }
    }

    private JsonValue object() throws MalformedException {
      Map<String, JsonValue> members = new LinkedHashMap<>();
      if (takes('}')) {
        return new JsonValue(members);
      }
      do {
        expect('"');
        String name = string();
        expect(':');
        members.put(name, value());
      } while (takes(','));
      expect('}');
      return new JsonValue(members);
    }

    private JsonValue array() throws MalformedException {
      List<JsonValue> items = new ArrayList<>();
      if (takes(']')) {
        return new JsonValue(items);
      }
      do {
        items.add(value());
      } while (takes(','));
      expect(']');
      return new JsonValue(items);
    }

    /** Behind the quotation mark. */
    private String string() throws MalformedException {
      StringBuilder read = new StringBuilder();
      while (true) {
        char c = next();
        if (c == '"') {
          return read.toString();
        } else if (c == '\\') {
          read.append(escaped(next()));
        } else if (c < ' ') {
          throw wrong("a control character");
        } else {
          read.append(c);
        }
      }
    }

    private char escaped(char c) throws MalformedException {
      return switch (c) {
        case '"', '\\', '/' -> c;
        case 'b' -> '\b';
        case 'f' -> '\f';
        case 'n' -> '\n';
        case 'r' -> '\r';
        case 't' -> '\t';
        case 'u' -> {
          int code = 0;
          for (int i = 0; i < 4; i++) {
            int digit = Character.digit(next(), 16);
            if (digit < 0) {
              throw wrong("no hexadecimal digit");
            }
            code = (code << 4) | digit;
          }
          yield (char) code;
        }
        default -> throw wrong("no escape");
      };
    }
  }
}
