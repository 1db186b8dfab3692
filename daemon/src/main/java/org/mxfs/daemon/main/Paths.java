// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.nio.file.Path;

/** The files the daemon uses outside the volume. */
record Paths(
    Path nodeUuid,
    Path logDirectory,
    Path runDirectory,
    Path devLog,
    Path kmsg,
    Path sys,
    Path dev) {
  static final Paths SYSTEM =
      new Paths(
          Path.of("/etc/mxfs/node.uuid"),
          Path.of("/var/log/mxfs"),
          Path.of("/run/mxfs"),
          Path.of("/dev/log"),
          Path.of("/dev/kmsg"),
          Path.of("/sys"),
          Path.of("/dev"));
}
