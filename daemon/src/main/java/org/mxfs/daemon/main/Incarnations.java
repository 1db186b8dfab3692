// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The last incarnation of this node for one volume, so that two mounts within one second do not get
 * the same key. In {@code /run}: after a reboot the clock is ahead, and the array and the peers
 * know what came before.
 */
final class Incarnations {
  private final Path file;

  Incarnations(Path runDirectory, String volume) {
    file = runDirectory.resolve(volume + ".incarnation");
  }

  /**
   * An incarnation that was not used before: the wall clock's seconds, or one more than the last
   * one.
   */
  long next(long unixSeconds) {
    long last = 0;
    try {
      last = Long.parseLong(Files.readString(file).strip());
    } catch (IOException | NumberFormatException e) {
      // The first mount since boot.
      last = 0;
    }
    return Math.max(unixSeconds, last + 1) & 0xffff_ffffL;
  }

  void remember(long incarnation) throws IOException {
    Path directory = file.getParent();
    if (directory != null) {
      Files.createDirectories(directory);
    }
    Files.writeString(file, incarnation + "\n");
  }
}
