// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.kernel;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * XFS's mount options in one form, so that two nodes can tell whether theirs mean the same: sorted,
 * the last of each, sizes in bytes, without what is XFS's default.
 *
 * <p>Left out, because it concerns the node alone: {@code nouuid} (this node has a copy of the
 * volume mounted beside). Quota options do not come here: they are the volume's, which keeps them.
 */
final class XfsOptions {
  /** Each says the opposite of its value, which is XFS's default. */
  private static final Map<String, String> DEFAULTS =
      Map.of(
          "discard", "nodiscard",
          "largeio", "nolargeio",
          "ikeep", "noikeep",
          "inode32", "inode64",
          "grpid", "nogrpid",
          "noattr2", "attr2");

  private static final Map<String, String> SYNONYMS =
      Map.of("bsdgroups", "grpid", "sysvgroups", "nogrpid", "dax", "dax=always");

  private static final Set<String> OF_THE_NODE = Set.of("nouuid");

  private XfsOptions() {}

  static String normalised(String given) {
    Map<String, @Nullable String> last = new LinkedHashMap<>();
    for (String said : given.split(",")) {
      String option = SYNONYMS.getOrDefault(said, said);
      int equals = option.indexOf('=');
      String name = equals < 0 ? option : option.substring(0, equals);
      if (name.isEmpty() || OF_THE_NODE.contains(name)) {
        continue;
      }
      DEFAULTS.forEach(
          (other, usual) -> {
            if (name.equals(usual)) {
              last.remove(other);
            }
          });
      if (!DEFAULTS.containsValue(name)) {
        last.put(name, equals < 0 ? null : bytes(option.substring(equals + 1)));
      }
    }
    last.remove("dax", "inode"); // XFS's default
    StringBuilder text = new StringBuilder();
    new TreeMap<>(last)
        .forEach(
            (name, value) ->
                text.append(text.isEmpty() ? "" : ",")
                    .append(name)
                    .append(value == null ? "" : "=" + value));
    return text.toString();
  }

  /** {@code 64k} is 65536. */
  private static String bytes(String value) {
    int unit =
        "kmg"
            .indexOf(
                value.isEmpty()
                    ? " "
                    : value.toLowerCase(Locale.ROOT).substring(value.length() - 1));
    if (unit < 0 || !value.matches("[0-9]{1,9}.")) {
      return value;
    }
    return Long.toString(
        Long.parseLong(value.substring(0, value.length() - 1)) << (10 * (unit + 1)));
  }
}
