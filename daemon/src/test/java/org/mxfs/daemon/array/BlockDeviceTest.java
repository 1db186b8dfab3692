// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * On trees that look like sysfs: no test may need a device of the build machine. Opening by number
 * is tried on real disks in the lab.
 */
class BlockDeviceTest {
  @TempDir Path sys;

  /** A device that hangs on {@code parents}, as {@code /sys/devices} shows it. */
  private Path block(String number, String parents, String name) throws IOException {
    Path dir = Files.createDirectories(sys.resolve("devices").resolve(parents).resolve(name));
    Files.writeString(dir.resolve("uevent"), "MAJOR=8\nDEVNAME=" + name + "\n");
    Files.writeString(dir.resolve("dev"), number + "\n");
    Files.createDirectories(sys.resolve("dev/block"));
    Files.createSymbolicLink(sys.resolve("dev/block").resolve(number), dir);
    return dir;
  }

  private BlockDevice find(int major, int minor) throws IOException {
    return BlockDevice.find(sys, major, minor);
  }

  private void write(String file, String text) throws IOException {
    Path path = sys.resolve("devices").resolve(file);
    Path parent = path.getParent();
    if (parent != null) {
      Files.createDirectories(parent);
    }
    Files.writeString(path, text + "\n");
  }

  @Test
  void aDiskIsFoundByItsNumber() throws IOException {
    block("8:0", "pci0/host0/target0:0:0/0:0:0:0/block", "sda");
    BlockDevice found = find(8, 0);
    assertThat(found)
        .isEqualTo(new BlockDevice("sda", 8, 0, Optional.empty(), List.of(), Optional.empty()))
        .hasToString("/dev/sda");
    assertThat(found.number()).isEqualTo("8:0");
  }

  @Test
  void scsiDisksUnderALogicalVolumeAreSeen() throws IOException {
    Path disk = block("8:0", "pci0", "sda");
    Files.createDirectories(disk.resolve("device"));
    Files.writeString(disk.resolve("device/scsi_level"), "6\n");
    Path volume = block("253:0", "virtual/block", "dm-0");
    Files.createDirectories(volume.resolve("slaves"));
    Files.createSymbolicLink(volume.resolve("slaves/sda"), disk);
    assertThat(find(253, 0).scsiBelow()).containsExactly("sda");
  }

  /** The kernel makes the list of what is below for whole devices alone. */
  @Test
  void whatIsUnderAPartitionOfAnArrayIsSeen() throws IOException {
    write("virtual/nvme-fabrics/ctl/nvme1/transport", "tcp");
    Path far = block("259:1", "virtual/nvme-fabrics/ctl/nvme1", "nvme1n1");
    Path disk = block("8:0", "pci0", "sda");
    Files.createDirectories(disk.resolve("device"));
    Files.writeString(disk.resolve("device/scsi_level"), "6\n");
    Path raid = block("9:0", "virtual/block", "md0");
    Files.createDirectories(raid.resolve("slaves"));
    Files.createSymbolicLink(raid.resolve("slaves/sda"), disk);
    Files.createSymbolicLink(raid.resolve("slaves/nvme1n1"), far);
    Path part = block("259:5", "virtual/block/md0", "md0p1");
    Files.writeString(part.resolve("partition"), "1\n");
    Files.writeString(part.resolve("start"), "2048\n");
    Files.writeString(part.resolve("size"), "4096\n");
    Path map = block("253:0", "virtual/block", "dm-0");
    Files.createDirectories(map.resolve("slaves"));
    Files.createSymbolicLink(map.resolve("slaves/md0p1"), part);
    for (int[] each : new int[][] {{9, 0}, {259, 5}, {253, 0}}) {
      BlockDevice found = find(each[0], each[1]);
      assertThat(found.scsiBelow()).as(found.name()).containsExactly("sda");
      assertThat(found.network()).as(found.name()).contains("NVMe over tcp");
    }
  }

  @Test
  void aNumberThatIsNotThereIsAnError() {
    assertThatThrownBy(() -> find(8, 0))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("8:0");
  }

  @Test
  void aDiskByIscsiIsOnANetwork() throws IOException {
    Files.createDirectories(sys.resolve("devices/platform/host3/session1/iscsi_session/session1"));
    block("8:16", "platform/host3/session1/target3:0:0/3:0:0:1/block", "sdb");
    assertThat(find(8, 16).network()).contains("iSCSI");
  }

  @Test
  void aDiskByFibreChannelIsOnANetworkAndSoIsItsPartition() throws IOException {
    Path disk = block("8:32", "pci0/host5/rport-5:0-0/target5:0:0/5:0:0:0/block", "sdc");
    assertThat(find(8, 32).network()).contains("Fibre Channel");
    Path part = Files.createDirectories(disk.resolve("sdc1"));
    Files.writeString(part.resolve("uevent"), "DEVNAME=sdc1\n");
    Files.writeString(part.resolve("partition"), "1\n");
    Files.writeString(part.resolve("start"), "2048\n");
    Files.writeString(part.resolve("size"), "4096\n");
    Files.createSymbolicLink(sys.resolve("dev/block/8:33"), part);
    assertThat(find(8, 33).network()).contains("Fibre Channel");
  }

  @Test
  void nvmeOverFabricsIsToldFromNvmeInTheMachine() throws IOException {
    write("pci0/nvme/nvme0/transport", "pcie");
    block("259:0", "pci0/nvme/nvme0", "nvme0n1");
    assertThat(find(259, 0).network()).isEmpty();
    write("virtual/nvme-fabrics/ctl/nvme1/transport", "tcp");
    block("259:1", "virtual/nvme-fabrics/ctl/nvme1", "nvme1n1");
    assertThat(find(259, 1).network()).contains("NVMe over tcp");
    // With the kernel's own multipathing, the disk hangs on the subsystem, which has links.
    block("259:2", "virtual/nvme-subsystem/nvme-subsys2", "nvme2n1");
    assertThat(find(259, 2).network()).isEmpty();
    Files.createSymbolicLink(
        sys.resolve("devices/virtual/nvme-subsystem/nvme-subsys2/nvme2"),
        sys.resolve("devices/virtual/nvme-fabrics/ctl/nvme1"));
    assertThat(find(259, 2).network()).contains("NVMe over tcp");
  }

  @Test
  void aLogicalVolumeIsWhereItsDisksAre() throws IOException {
    write("virtual/nvme-fabrics/ctl/nvme1/transport", "rdma");
    Path disk = block("259:1", "virtual/nvme-fabrics/ctl/nvme1", "nvme1n1");
    Path volume = block("253:0", "virtual/block", "dm-0");
    Files.createDirectories(volume.resolve("slaves"));
    Files.createSymbolicLink(volume.resolve("slaves/nvme1n1"), disk);
    assertThat(find(253, 0).network()).contains("NVMe over rdma");
  }

  @Test
  void cephAndSrpAreNetworks() throws IOException {
    block("252:0", "rbd/block", "rbd0");
    assertThat(find(252, 0).network()).contains("Ceph RBD");
    write("pci0/host7/scsi_host/host7/proc_name", "ib_srp");
    block("8:48", "pci0/host7/target7:0:0/7:0:0:0/block", "sdd");
    assertThat(find(8, 48).network()).contains("SRP");
  }

  @Test
  void aDiskInTheMachineALoopDeviceAndVirtioAreNot() throws IOException {
    write("pci0/host0/scsi_host/host0/proc_name", "ahci");
    block("8:0", "pci0/host0/target0:0:0/0:0:0:0/block", "sda");
    block("7:0", "virtual/block", "loop0");
    block("254:0", "pci0/virtio1/block", "vda");
    for (int[] each : new int[][] {{8, 0}, {7, 0}, {254, 0}}) {
      assertThat(find(each[0], each[1]).network()).isEmpty();
    }
  }

  @Test
  void numbersAreEncodedAsTheKernelDoes() {
    assertThat(DeviceNode.encoded(8, 16)).isEqualTo(0x0810);
    assertThat(DeviceNode.encoded(259, 0x1_2345)).isEqualTo(0x1231_0345);
  }
}
