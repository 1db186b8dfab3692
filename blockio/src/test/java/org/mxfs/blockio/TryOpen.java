// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.nio.file.Path;

/**
 * Opens a file, or says why that cannot be; for limits that a running JVM cannot set for itself.
 */
public final class TryOpen {
  private TryOpen() {}

  /**
   * Prints the device, or the error; ends with status 0 or 1.
   *
   * @param arguments file; uring, unregistered or system-calls
   */
  public static void main(String[] arguments) {
    BlockDevices.Options options =
        switch (arguments[1]) {
          case "uring" -> BlockDevices.Options.DEFAULT;
          case "unregistered" -> BlockDevices.Options.DEFAULT.withUnregisteredBuffers();
          case "system-calls" ->
              BlockDevices.Options.DEFAULT.withBackend(BlockDevices.Backend.SYSTEM_CALLS);
          default -> throw new IllegalArgumentException(arguments[1]);
        };
    try (BlockDevice device = BlockDevices.open(Path.of(arguments[0]), options)) {
      device.read(0, device.buffers().asSlice(0, device.blockSize()));
      System.out.println("opened: " + device);
    } catch (IOException e) {
      System.out.println(e.getMessage());
      System.exit(1);
    }
  }
}
