// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On trees of sysfs' shape; real ones are looked at in the lab (scsi-iscsi, scsi-check). */
class HostAdapterTest {
  private static final String DISK = "target3:0:0/3:0:0:1/block/sdb";

  @TempDir Path sys;

  /** {@code at}: the path of the host below {@code devices}. */
  private Path host(String at, String procName) throws IOException {
    Path host = sys.resolve("devices").resolve(at);
    Path attributes =
        Files.createDirectories(
            host.resolve("scsi_host").resolve(String.valueOf(host.getFileName())));
    Files.writeString(attributes.resolve("proc_name"), procName + "\n");
    return host;
  }

  private HostAdapter find(Path host, String disk) throws IOException {
    Path node = Files.createDirectories(host.resolve(disk));
    Files.createDirectories(sys.resolve("dev/block"));
    Files.createSymbolicLink(sys.resolve("dev/block/8:16"), node);
    return HostAdapter.find(sys, "8:16");
  }

  private void driver(String at, String name) throws IOException {
    Path driver = Files.createDirectories(sys.resolve("bus/pci/drivers").resolve(name));
    Path device = Files.createDirectories(sys.resolve("devices").resolve(at));
    Files.createSymbolicLink(device.resolve("driver"), driver);
  }

  @Test
  void anIscsiSessionIsOfItsHostsDriver() throws Exception {
    Path host = host("platform/host3", "iscsi_tcp");
    assertThat(find(host, "session1/" + DISK)).isEqualTo(new HostAdapter("iscsi_tcp", ""));
  }

  @Test
  void aPartitionIsReachedAsItsDisk() throws Exception {
    driver("pci0000:00/0000:00:04.0/virtio1", "virtio_scsi");
    Path host = host("pci0000:00/0000:00:04.0/virtio1/host0", "virtio_scsi");
    assertThat(find(host, DISK + "/sdb1")).isEqualTo(new HostAdapter("virtio_scsi", ""));
  }

  @Test
  void aDriverWithoutANameIsThatOfTheDeviceAbove() throws Exception {
    int slot = 0;
    for (String none : new String[] {"(null)", "<NULL>", ""}) {
      String pci = "pci0000:00/0000:00:0" + slot++ + ".0";
      driver(pci, "qla2xxx");
      Path host = host(pci + "/host7", none);
      Files.writeString(host.resolve("scsi_host/host7/isp_name"), "ISP2432\n");
      Files.deleteIfExists(sys.resolve("dev/block/8:16"));
      assertThat(find(host, "rport-7:0-0/" + DISK))
          .as(none)
          .isEqualTo(new HostAdapter("qla2xxx", "ISP2432"));
    }
  }

  /** NPIV: a host of its own below the adapter's. */
  @Test
  void aVirtualPortIsOfTheHostThatIsNearest() throws Exception {
    driver("pci0000:00/0000:05:00.0", "qla2xxx");
    host("pci0000:00/0000:05:00.0/host7", "(null)");
    Path host = host("pci0000:00/0000:05:00.0/host7/vport-7:0-0/host8", "(null)");
    Files.writeString(host.resolve("scsi_host/host8/isp_name"), "ISP2532\n");
    assertThat(find(host, "rport-8:0-0/" + DISK)).isEqualTo(new HostAdapter("qla2xxx", "ISP2532"));
  }

  @Test
  void whatHangsOnNoHostIsUnknown() throws Exception {
    assertThat(find(sys.resolve("devices/virtual"), "block/dm-0")).isEqualTo(HostAdapter.UNKNOWN);
    assertThatExceptionOfType(NoSuchFileException.class)
        .isThrownBy(() -> HostAdapter.find(sys, "8:32"));
    assertThat(HostAdapter.of(Path.of("/dev/null"))).isEqualTo(HostAdapter.UNKNOWN);
  }
}
