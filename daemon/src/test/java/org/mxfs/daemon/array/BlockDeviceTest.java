// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * On trees that look like sysfs, with device nodes that are told: no test may need a device-mapper
 * device of the build machine, or make device nodes.
 */
class BlockDeviceTest {
  private static final Path DEV = Path.of("/dev");

  @TempDir Path sys;

  /** What is in /dev. */
  private final Map<Path, String> nodes = new HashMap<>();

  private BlockDevice find(String given, int major, int minor) throws IOException {
    BlockDevice.Nodes number =
        node -> {
          if (!nodes.containsKey(node)) {
            throw new NoSuchFileException(node.toString());
          }
          return Optional.of(nodes.get(node)).filter(n -> n.contains(":"));
        };
    return BlockDevice.find(sys, DEV, number, Path.of(given), major, minor);
  }

  private Path block(String number, String name) throws IOException {
    Path dir = Files.createDirectories(sys.resolve("devices").resolve(name));
    Files.writeString(dir.resolve("uevent"), "MAJOR=8\nDEVNAME=" + name + "\n");
    Files.createDirectories(sys.resolve("dev/block"));
    Files.createSymbolicLink(sys.resolve("dev/block").resolve(number), dir);
    nodes.put(DEV.resolve(name), number);
    return dir;
  }

  @Test
  void aDiskIsFoundByItsNumber() throws IOException {
    block("8:0", "sda");
    assertThat(find("disk/by-id/scsi-1", 8, 0))
        .isEqualTo(new BlockDevice(DEV.resolve("sda"), false, List.of()));
  }

  @Test
  void whereTheNodeOfTheKernelsNameIsAnotherDeviceTheOneGivenToMountIsTaken() throws IOException {
    block("8:0", "sda");
    nodes.put(DEV.resolve("sda"), "8:16");
    nodes.put(DEV.resolve("moved"), "8:0");
    assertThat(find("/dev/moved", 8, 0).node()).isEqualTo(DEV.resolve("moved"));
  }

  @Test
  void withoutANodeOfTheNumberItIsAnErrorThatNamesAllThatWereTried() throws IOException {
    block("8:0", "sda");
    nodes.put(DEV.resolve("sda"), "8:16");
    nodes.put(DEV.resolve("null"), "a character device");
    assertThatThrownBy(() -> find("/dev/null", 8, 0))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("8:0")
        .hasMessageContaining("/dev/sda is 8:16")
        .hasMessageContaining("/dev/null is no block device");
    assertThatThrownBy(() -> find("/dev/gone", 8, 0)).hasMessageContaining("/dev/gone");
  }

  @Test
  void aRelativeNameGivenToMountIsNotLookedAt() throws IOException {
    block("8:0", "sda");
    nodes.remove(DEV.resolve("sda"));
    nodes.put(Path.of("moved"), "8:0");
    assertThatThrownBy(() -> find("moved", 8, 0)).isInstanceOf(IOException.class);
  }

  @Test
  void aPartitionIsSeen() throws IOException {
    Files.writeString(block("8:1", "sda1").resolve("partition"), "1\n");
    assertThat(find("/dev/given", 8, 1).partition()).isTrue();
  }

  @Test
  void scsiDisksUnderALogicalVolumeAreSeen() throws IOException {
    Path disk = block("8:0", "sda");
    Files.createDirectories(disk.resolve("device"));
    Files.writeString(disk.resolve("device/scsi_level"), "6\n");
    Path volume = block("253:0", "dm-0");
    Files.createDirectories(volume.resolve("slaves"));
    Files.createSymbolicLink(volume.resolve("slaves/sda"), disk);
    assertThat(find("/dev/given", 253, 0).scsiBelow()).containsExactly("sda");
  }

  @Test
  void aNumberThatIsNotThereIsAnError() {
    assertThatThrownBy(() -> find("/dev/given", 8, 0))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("8:0");
  }
}
