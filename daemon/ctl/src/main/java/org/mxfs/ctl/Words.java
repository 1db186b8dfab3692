// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.Locale;

/** Puts things in words for a terminal. */
final class Words {
  private Words() {}

  /** Without what a terminal would obey: names and lines of the log are other machines' words. */
  static String clean(String text) {
    StringBuilder clean = new StringBuilder();
    text.codePoints()
        .forEach(
            c -> {
              switch (Character.getType(c)) {
                case Character.CONTROL,
                    Character.FORMAT,
                    Character.SURROGATE,
                    Character.PRIVATE_USE,
                    Character.UNASSIGNED,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR ->
                    clean.append('?');
                default -> clean.appendCodePoint(c);
              }
            });
    return clean.toString();
  }

  /** A duration, as exact as it matters. */
  static String time(long millis) {
    long seconds = millis / 1_000;
    if (seconds < 60) {
      return String.format(Locale.ROOT, "%d.%d s", seconds, millis % 1_000 / 100);
    }
    if (seconds < 3_600) {
      return seconds / 60 + " min " + seconds % 60 + " s";
    }
    if (seconds < 86_400) {
      return seconds / 3_600 + " h " + seconds % 3_600 / 60 + " min";
    }
    return seconds / 86_400 + " d " + seconds % 86_400 / 3_600 + " h";
  }

  static String times(String number) {
    return number.equals("1") ? "once" : clean(number) + " times";
  }

  /** A node of the daemon's answer: its host and its id. */
  static String node(JsonValue node) {
    String id = "node " + clean(node.get("id").textOr("?"));
    String host = node.get("host").text();
    return host == null || host.isEmpty() ? id : clean(host) + " (" + id + ")";
  }
}
