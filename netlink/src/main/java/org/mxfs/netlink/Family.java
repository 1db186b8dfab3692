// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.util.Map;

/**
 * A generic netlink family as the kernel describes it.
 *
 * @param id the message type of its messages; valid until the family is unregistered
 * @param name at most 15 bytes
 * @param version the version of its interface
 * @param headerSize bytes of the family's own header between the generic header and the attributes;
 *     nearly always 0
 * @param maxAttribute its highest attribute number, or 0 where the kernel does not say
 * @param groups multicast groups, name to number
 */
public record Family(
    int id,
    String name,
    int version,
    int headerSize,
    int maxAttribute,
    Map<String, Integer> groups) {
  /**
   * The controller, with which all others are found; its number is fixed ({@code GENL_ID_CTRL}).
   */
  public static final Family CONTROLLER =
      new Family(org.mxfs.bindings.linux.Genetlink.GENL_ID_CTRL, "nlctrl", 2, 0, 0, Map.of());

  /** Copies the groups. */
  public Family {
    groups = Map.copyOf(groups);
  }
}
