// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;

/** On trees that look like sysfs and procfs; on a real disk in the lab (`partition`). */
class PartitionTest {
  @TempDir Path root;

  private Path disk;
  private Path proc;

  @BeforeEach
  void aDiskWithThreePartitions() throws IOException {
    disk = Files.createDirectories(root.resolve("sys/devices/host0/block/sdb"));
    Files.createDirectories(root.resolve("sys/dev/block"));
    Files.writeString(disk.resolve("dev"), "8:16\n");
    Files.createDirectories(disk.resolve("queue"));
    partition("sdb1", 1, "8:17", 2048, 4096);
    partition("sdb2", 2, "8:18", 6144, 4096);
    partition("sdb17", 17, "259:3", 10_240, 8);
    proc = Files.createDirectories(root.resolve("proc/self"));
    proc = root.resolve("proc");
    Files.writeString(proc.resolve("self/mountinfo"), "");
    Files.writeString(proc.resolve("swaps"), "Filename\t\t\t\tType\t\tSize\n");
  }

  private void partition(String name, int number, String dev, long start, long size)
      throws IOException {
    Path dir = Files.createDirectories(disk.resolve(name));
    Files.writeString(dir.resolve("uevent"), "DEVNAME=" + name + "\nPARTN=" + number + "\n");
    Files.writeString(dir.resolve("partition"), number + "\n");
    Files.writeString(dir.resolve("dev"), dev + "\n");
    Files.writeString(dir.resolve("start"), start + "\n");
    Files.writeString(dir.resolve("size"), size + "\n");
    Files.createDirectories(dir.resolve("holders"));
    Files.createSymbolicLink(root.resolve("sys/dev/block").resolve(dev), dir);
  }

  private Partition find(int major, int minor) throws IOException {
    return BlockDevice.find(root.resolve("sys"), major, minor).partition().orElseThrow();
  }

  @Test
  void aPartitionAndItsNeighboursAreFound() throws IOException {
    Files.createSymbolicLink(disk.resolve("sdb2/holders/dm-3"), disk);
    assertThat(find(8, 17))
        .isEqualTo(
            new Partition(
                1,
                2048,
                4096,
                "sdb",
                List.of(
                    new Partition.Other("sdb2", 8, 18, List.of("dm-3")),
                    new Partition.Other("sdb17", 259, 3, List.of()))));
    assertThat(find(259, 3).number()).isEqualTo(17);
    assertThat(find(259, 3).others())
        .extracting(Partition.Other::name)
        .containsExactly("sdb1", "sdb2");
  }

  @Test
  void whatSysfsCannotSayIsAnError() throws IOException {
    Files.writeString(disk.resolve("sdb1/partition"), "256\n");
    assertThatThrownBy(() -> find(8, 17))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("256");
    Files.writeString(disk.resolve("sdb1/partition"), "1\n");
    Files.writeString(disk.resolve("sdb2/dev"), "8\n");
    assertThatThrownBy(() -> find(8, 17))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("sdb2");
  }

  /** Claims that are noted; those of one name are refused. */
  private final List<String> held = new ArrayList<>();

  private String refused = "";

  private Closeable claim(Partition.Other other) throws IOException {
    if (other.name().equals(refused)) {
      throw new ErrnoException("open", other.toString(), Errnos.EBUSY, "");
    }
    held.add(other.name());
    return () -> held.remove(other.name());
  }

  private String refusal() throws IOException {
    Partition partition = find(8, 17);
    List<String> said = new ArrayList<>();
    assertThatThrownBy(() -> PartitionClaim.take(this::claim, proc, partition))
        .isInstanceOf(PartitionClaim.InUseException.class)
        .satisfies(e -> said.add(String.valueOf(e.getMessage())));
    assertThat(held).as("what is held after a refusal").isEmpty();
    return said.getFirst();
  }

  @Test
  void allOthersAreHeldUntilTheEnd() throws IOException {
    PartitionClaim claim = PartitionClaim.take(this::claim, proc, find(8, 17));
    assertThat(held).containsExactly("sdb2", "sdb17");
    claim.close();
    assertThat(held).isEmpty();
  }

  @Test
  void oneThatIsMountedIsNamedWithItsPlace() throws IOException {
    refused = "sdb17";
    Files.writeString(
        proc.resolve("self/mountinfo"),
        """
        22 1 8:18 / /a rw - xfs /dev/sdb2 rw
        29 1 259:3 / /mnt/other rw,relatime shared:1 master:2 - ext4 /dev/sdb17 rw
        """);
    assertThat(refusal()).contains("/dev/sdb17", "mounted as ext4 on /mnt/other");
  }

  @Test
  void swapIsNamed() throws IOException {
    refused = "sdb2";
    Files.writeString(
        proc.resolve("swaps"),
        """
        Filename                                Type            Size
        /dev/sdb21                              partition       1
        /dev/sdb2                               partition       1048572
        """);
    assertThat(refusal()).contains("/dev/sdb2", "swap");
  }

  @Test
  void aMapOverItIsNamed() throws IOException {
    refused = "sdb2";
    Files.createSymbolicLink(disk.resolve("sdb2/holders/dm-3"), disk);
    assertThat(refusal()).contains("/dev/sdb2", "held by dm-3");
  }

  @Test
  void whoeverElseHasItIsSaidToBeUnknown() throws IOException {
    refused = "sdb2";
    assertThat(refusal()).contains("/dev/sdb2", "held by something");
  }

  @Test
  void anotherErrorIsNotTakenForUse() throws IOException {
    Partition partition = find(8, 17);
    assertThatThrownBy(
            () ->
                PartitionClaim.take(
                    other -> {
                      if (other.name().equals("sdb17")) {
                        throw new ErrnoException("open", other.toString(), Errnos.ENXIO, "");
                      }
                      return claim(other);
                    },
                    proc,
                    partition))
        .isInstanceOf(ErrnoException.class);
    assertThat(held).isEmpty();
  }
}
