// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On trees that look like sysfs: no test may need a device-mapper device of the build machine. */
class BlockDeviceTest {
  @TempDir Path sys;

  private Path block(String number, String name) throws IOException {
    Path dir = Files.createDirectories(sys.resolve("devices").resolve(name));
    Files.writeString(dir.resolve("uevent"), "MAJOR=8\nDEVNAME=" + name + "\n");
    Files.createDirectories(sys.resolve("dev/block"));
    Files.createSymbolicLink(sys.resolve("dev/block").resolve(number), dir);
    return dir;
  }

  @Test
  void aDiskIsFoundByItsNumber() throws IOException {
    block("8:0", "sda");
    assertThat(BlockDevice.find(sys, Path.of("/dev"), 8, 0))
        .isEqualTo(new BlockDevice(Path.of("/dev/sda"), false, java.util.List.of()));
  }

  @Test
  void aPartitionIsSeen() throws IOException {
    Files.writeString(block("8:1", "sda1").resolve("partition"), "1\n");
    assertThat(BlockDevice.find(sys, Path.of("/dev"), 8, 1).partition()).isTrue();
  }

  @Test
  void scsiDisksUnderALogicalVolumeAreSeen() throws IOException {
    Path disk = block("8:0", "sda");
    Files.createDirectories(disk.resolve("device"));
    Files.writeString(disk.resolve("device/scsi_level"), "6\n");
    Path volume = block("253:0", "dm-0");
    Files.createDirectories(volume.resolve("slaves"));
    Files.createSymbolicLink(volume.resolve("slaves/sda"), disk);
    assertThat(BlockDevice.find(sys, Path.of("/dev"), 253, 0).scsiBelow()).containsExactly("sda");
  }

  @Test
  void aNumberThatIsNotThereIsAnError() {
    assertThatThrownBy(() -> BlockDevice.find(sys, Path.of("/dev"), 8, 0))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("8:0");
  }
}
