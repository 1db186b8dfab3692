// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/** What this node is to the volume. */
public enum Role {
  MEMBER,
  OWNER
}
