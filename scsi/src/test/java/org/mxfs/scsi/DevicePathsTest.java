// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.mxfs.scsi.ScriptedTransport.hex;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.scsi.DevicePaths.Kind;

/**
 * On trees of sysfs' shape, as a machine with two paths to one unit has them; real ones are looked
 * at in the lab.
 */
class DevicePathsTest {
  private static final Path DEV = Path.of("/dev");

  @TempDir Path sys;

  private Path block(String name, String number) throws IOException {
    Path dir = Files.createDirectories(sys.resolve("devices").resolve(name));
    Files.createDirectories(sys.resolve("dev/block"));
    Files.createDirectories(sys.resolve("block"));
    Files.createSymbolicLink(sys.resolve("dev/block").resolve(number), dir);
    Files.createSymbolicLink(sys.resolve("block").resolve(name), dir);
    return dir;
  }

  private Path disk(String name, String number) throws IOException {
    Path dir = block(name, number);
    Files.createDirectories(dir.resolve("device"));
    Files.writeString(dir.resolve("device/scsi_level"), "7\n");
    return dir;
  }

  private void disk(String name, String number, int unit, int port) throws IOException {
    // The unit's NAA name, and the relative target port, in which its paths differ.
    String page = "00 83 0014 01 03 00 08 600140%010x 01 94 00 04 0000%04x".formatted(unit, port);
    named(name, number, page);
  }

  private void named(String name, String number, String page) throws IOException {
    Files.write(disk(name, number).resolve("device/vpd_pg83"), hex(page));
  }

  private void mapper(String name, String number, String uuid, String... slaves)
      throws IOException {
    Path dir = block(name, number);
    Files.createDirectories(dir.resolve("slaves"));
    Files.createDirectories(dir.resolve("dm"));
    Files.writeString(dir.resolve("dm/uuid"), uuid + "\n");
    for (String slave : slaves) {
      Files.createSymbolicLink(
          dir.resolve("slaves").resolve(slave), sys.resolve("block").resolve(slave));
    }
  }

  private DevicePaths find(String number) throws IOException {
    return DevicePaths.find(sys, DEV, number);
  }

  @Test
  void aDiskAloneIsItsOnlyPath() throws Exception {
    disk("sda", "8:0", 1, 1);
    disk("sdb", "8:16", 2, 1);
    disk("sdc", "8:32");
    assertThat(find("8:0"))
        .isEqualTo(new DevicePaths("sda", Kind.SCSI_DISK, List.of(DEV.resolve("sda")), List.of()));
    assertThat(find("8:32").paths()).as("a disk that tells no name").hasSize(1);
  }

  @Test
  void multipathIsResolvedToItsPathsInTheKernelsOrder() throws Exception {
    disk("sdb", "8:16", 1, 1);
    disk("sdaa", "65:160", 1, 2);
    mapper("dm-0", "253:0", "mpath-3600140", "sdaa", "sdb");
    DevicePaths found = find("253:0");
    assertThat(found.kind()).isEqualTo(Kind.MULTIPATH);
    assertThat(found.paths()).containsExactly(DEV.resolve("sdb"), DEV.resolve("sdaa"));
  }

  @Test
  void pathsThatMultipathDoesNotKnowAreFoundByTheUnitsName() throws Exception {
    disk("sda", "8:0", 7, 1);
    disk("sdb", "8:16", 7, 2);
    disk("sdc", "8:32", 7, 3);
    disk("sdd", "8:48", 8, 1);
    mapper("dm-0", "253:0", "mpath-3600140", "sda", "sdb");
    assertThat(find("253:0").paths())
        .containsExactly(DEV.resolve("sda"), DEV.resolve("sdb"), DEV.resolve("sdc"));
  }

  /** What is tried first is tried on it; the others may be another disk of that name. */
  @Test
  void whatWasNamedComesFirst() throws Exception {
    disk("sda", "8:0", 7, 1);
    disk("sdb", "8:16", 7, 2);
    disk("sdc", "8:32", 7, 3);
    disk("sdd", "8:48", 7, 4);
    mapper("dm-0", "253:0", "mpath-3600140", "sdc", "sdb");
    assertThat(find("8:32").paths())
        .containsExactly(
            DEV.resolve("sdc"), DEV.resolve("sda"), DEV.resolve("sdb"), DEV.resolve("sdd"));
    assertThat(find("253:0").paths())
        .containsExactly(
            DEV.resolve("sdb"), DEV.resolve("sdc"), DEV.resolve("sda"), DEV.resolve("sdd"));
  }

  /** Two tgts, each with its unit 1 of target 1 (see VpdTest), or two paths to one. */
  @Test
  void disksWithANameThatIsNotUniqueAreAlikeAndNoPaths() throws Exception {
    String tgt =
        "00 83 0020 01 03 00 08 3000000100000001 01 03 00 10 6000000000000000 0e00000000010001";
    named("sda", "8:0", tgt);
    named("sdb", "8:16", tgt);
    named("sdaa", "65:160", "00 83 000c 01 03 00 08 3000000100000001");
    named("sdc", "8:32", "00 83 000c 01 03 00 08 3000000100000002");
    disk("sdd", "8:48");
    assertThat(find("8:0"))
        .isEqualTo(
            new DevicePaths(
                "sda",
                Kind.SCSI_DISK,
                List.of(DEV.resolve("sda")),
                List.of(DEV.resolve("sdb"), DEV.resolve("sdaa"))));
    mapper("dm-0", "253:0", "mpath-3000", "sda", "sdb");
    assertThat(find("253:0").paths()).containsExactly(DEV.resolve("sda"), DEV.resolve("sdb"));
    assertThat(find("253:0").alike()).containsExactly(DEV.resolve("sdaa"));
    for (String none : List.of("8:32", "8:48")) {
      assertThat(find(none).alike()).as(none).isEmpty();
    }
  }

  /** A world-wide name on both sides says more than another that they share. */
  @Test
  void disksWithWorldWideNamesOfTheirOwnAreNotAlike() throws Exception {
    String local = "01 03 00 08 3000000100000001";
    named("sda", "8:0", "00 83 0018 01 03 00 08 5001405000000001" + local);
    named("sdb", "8:16", "00 83 0018 01 03 00 08 5001405000000002" + local);
    named("sdc", "8:32", "00 83 000c" + local);
    assertThat(find("8:0").paths()).containsExactly(DEV.resolve("sda"));
    assertThat(find("8:0").alike()).containsExactly(DEV.resolve("sdc"));
    assertThat(find("8:32").alike()).containsExactly(DEV.resolve("sda"), DEV.resolve("sdb"));
  }

  /** As in a container; the disk that has no node is none that was named. */
  @Test
  void aPathWithoutANodeIsSaidToBeOne() throws Exception {
    String local = "00 83 000c 01 03 00 08 3000000100000001";
    disk("sda", "8:0", 7, 1);
    disk("sdb", "8:16", 7, 2);
    named("sdc", "8:32", local);
    named("sdd", "8:48", local);
    Path dev = Files.createDirectories(sys.resolve("dev-of-a-container"));
    for (String number : List.of("8:0", "8:32")) {
      DevicePaths found = DevicePaths.find(sys, dev, number);
      Path other = number.equals("8:0") ? dev.resolve("sdb") : dev.resolve("sdd");
      String what = number.equals("8:0") ? "is another path" : "may be another path";
      assertThatExceptionOfType(IOException.class)
          .isThrownBy(() -> DevicePaths.checkNode(sys, found, other))
          .withMessageStartingWith(other + " is not there")
          .withMessageContaining(what);
    }
  }

  @Test
  void whatIsNoWholeUnitHasNoPaths() throws Exception {
    disk("sda", "8:0", 1, 1);
    Files.writeString(block("sda1", "8:1").resolve("partition"), "1\n");
    mapper("dm-1", "253:1", "LVM-abc", "sda");
    mapper("dm-2", "253:2", "part1-mpath-3600140", "sda");
    block("nvme0n1", "259:0");
    assertThat(find("8:1"))
        .isEqualTo(new DevicePaths("sda1", Kind.PARTITION, List.of(), List.of()));
    for (String number : new String[] {"253:1", "253:2", "259:0"}) {
      assertThat(find(number).kind()).isEqualTo(Kind.OTHER);
      assertThat(find(number).paths()).isEmpty();
    }
  }

  @Test
  void aDeviceThatIsNotThereAndAPageThatIsGarbageAreErrors() throws Exception {
    assertThatExceptionOfType(NoSuchFileException.class)
        .isThrownBy(() -> find("8:0"))
        .withMessageContaining("no block device 8:0");
    Files.write(disk("sda", "8:0").resolve("device/vpd_pg83"), hex("00 80 0000"));
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(() -> find("8:0"))
        .withMessageContaining("vpd_pg83");
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> DevicePaths.find(sys.resolve("missing")))
        .satisfies(e -> assertThat(e.errnoName()).isEqualTo("ENOENT"));
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> DevicePaths.find(Path.of("/dev/null")))
        .satisfies(e -> assertThat(e.errnoName()).isEqualTo("ENOTBLK"));
  }
}
