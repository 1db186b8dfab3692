// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A volume of this machine, as far as it can be seen from outside: nothing here was asked of the
 * mount itself, which may hang.
 *
 * @param uuid null: not known
 * @param label null: not known, or none
 * @param device as it was given to mount(8)
 * @param number major:minor
 * @param places where it is mounted; empty: the mount is under way, or in another namespace
 * @param kernel what the module says of it in debugfs; empty: that cannot be read
 */
record Volume(
    @Nullable String uuid,
    @Nullable String label,
    String device,
    String number,
    List<String> places,
    Map<String, String> kernel,
    DaemonAnswer daemon) {
  Volume {
    places = List.copyOf(places);
    kernel = Map.copyOf(kernel);
  }

  /** What the daemon said. */
  @Nullable JsonValue said() {
    return daemon instanceof DaemonAnswer.Said said ? said.value() : null;
  }

  /** What the policy thread had published; null: nothing, or the daemon says nothing. */
  @Nullable JsonValue status() {
    JsonValue said = said();
    return said == null || said.get("status").isNull() ? null : said.get("status");
  }

  String log() {
    return "/var/log/mxfs/" + (uuid == null ? "UUID" : uuid) + ".log";
  }

  /** Of the module's status; empty: not known. */
  String kernel(String name) {
    return kernel.getOrDefault(name, "");
  }

  boolean isDead() {
    return kernel("state").equals("dead");
  }
}
