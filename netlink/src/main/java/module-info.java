// SPDX-License-Identifier: Apache-2.0

/** Generic netlink for Java. */
module org.mxfs.netlink {
  requires static org.jspecify;
  requires transitive org.mxfs.bindings;

  exports org.mxfs.netlink;
}
