// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.Closeable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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

  /** The kernel takes the number away first, and has it last (drivers/base/core.c, device_del). */
  @Test
  void aNeighbourThatGoesOrComesMeanwhileIsNone() throws IOException {
    Files.delete(disk.resolve("sdb2/dev"));
    assertThat(find(8, 17).others()).extracting(Partition.Other::name).containsExactly("sdb17");
  }

  @Test
  void aNeighbourThatIsGoneByThenIsNotClaimed() throws IOException {
    Partition partition = find(8, 17);
    refused = "sdb2";
    errno = Errnos.ENXIO;
    Files.delete(root.resolve("sys/dev/block/8:18"));
    assertThat(none().takeAll(partition))
        .extracting(Partition.Other::name)
        .containsExactly("sdb17");
    assertThat(held).containsExactly("sdb17");
  }

  /** Claims that are noted; those of one name are refused. */
  private final List<String> held = new ArrayList<>();

  private String refused = "";

  private int errno = Errnos.EBUSY;

  private Closeable claim(Partition.Other other) throws IOException {
    if (other.name().equals(refused)) {
      throw new ErrnoException("open", other.toString(), errno, "");
    }
    held.add(other.name());
    return () -> held.remove(other.name());
  }

  private PartitionClaim none() {
    return new PartitionClaim(this::claim, root.resolve("sys"), proc);
  }

  private String refusal() throws IOException {
    Partition partition = find(8, 17);
    List<String> said = new ArrayList<>();
    assertThatThrownBy(() -> none().takeAll(partition))
        .isInstanceOf(PartitionClaim.InUseException.class)
        .satisfies(e -> said.add(String.valueOf(e.getMessage())));
    assertThat(held).as("what is held after a refusal").isEmpty();
    return said.getFirst();
  }

  @Test
  void allOthersAreHeldUntilTheEnd() throws IOException {
    PartitionClaim claim = none();
    assertThat(claim.takeAll(find(8, 17)))
        .extracting(Partition.Other::name)
        .containsExactly("sdb2", "sdb17");
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

  /** Names are any bytes, and some are escaped; who has it cannot always be told. */
  @Test
  void anyNameOfAPlaceIsReadAndThatItIsInUseStandsWithoutOne() throws IOException {
    refused = "sdb17";
    Files.write(
        proc.resolve("self/mountinfo"),
        """
        28 1 8:1 / /mnt/\u00e9 rw - ext4 /dev/sda1 rw
        29 1 259:3 / /mnt/two\\040words rw - ext4 /dev/sdb17 rw
        """
            .getBytes(StandardCharsets.ISO_8859_1));
    assertThat(refusal()).contains("mounted as ext4 on /mnt/two words");
    Files.delete(proc.resolve("self/mountinfo"));
    assertThat(refusal()).contains("/dev/sdb17", "held by something");
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
    refused = "sdb17";
    errno = Errnos.ENXIO;
    assertThatThrownBy(() -> none().takeAll(partition)).isInstanceOf(ErrnoException.class);
    assertThat(held).isEmpty();
  }

  // ---- a mount that is there

  private final List<String> changes = new ArrayList<>();

  private void told(Partition.Other other, PartitionClaim.Change change) {
    changes.add(other.name() + " " + change);
  }

  @ParameterizedTest
  @CsvSource({"sdb2, sdb17", "sdb17, sdb2"})
  void whatIsFreeIsHeldBesideOneThatIsNot(String taken, String free) throws IOException {
    refused = taken;
    PartitionClaim claim = none();
    assertThat(claim.takeWhatIsFree(find(8, 17)))
        .singleElement()
        .satisfies(
            missing -> {
              assertThat(missing.other().name()).isEqualTo(taken);
              assertThat(missing.why()).contains("/dev/" + taken, "held by something");
            });
    assertThat(held).containsExactly(free);
    claim.close();
    assertThat(held).isEmpty();
  }

  @Test
  void whatIsMissingIsHeldWhenItIsFree() throws IOException {
    refused = "sdb2";
    try (PartitionClaim claim = none()) {
      claim.takeWhatIsFree(find(8, 17));
      claim.tryAgain(() -> find(8, 17), this::told);
      assertThat(held).containsExactly("sdb17");
      assertThat(changes).isEmpty();
      refused = "";
      claim.tryAgain(() -> find(8, 17), this::told);
      claim.tryAgain(() -> find(8, 17), this::told);
      assertThat(held).containsExactly("sdb17", "sdb2");
      assertThat(changes).containsExactly("sdb2 HELD");
    }
    assertThat(held).isEmpty();
  }

  /** Its number may be another device's by now. */
  @Test
  void whatIsGoneIsNotTriedAgain() throws IOException {
    refused = "sdb2";
    try (PartitionClaim claim = none()) {
      claim.takeWhatIsFree(find(8, 17));
      refused = "";
      Files.delete(disk.resolve("sdb2/partition"));
      claim.tryAgain(() -> find(8, 17), this::told);
      assertThat(held).containsExactly("sdb17");
      assertThat(changes).containsExactly("sdb2 GONE");
      partition("sdb2", 2, "8:34", 6144, 4096);
      claim.tryAgain(() -> find(8, 17), this::told);
      assertThat(held).containsExactly("sdb17");
    }
  }

  @Test
  void aLookThatFailsChangesNothing() throws IOException {
    refused = "sdb2";
    try (PartitionClaim claim = none()) {
      claim.takeWhatIsFree(find(8, 17));
      refused = "";
      claim.tryAgain(
          () -> {
            throw new IOException("no look");
          },
          this::told);
      assertThat(changes).isEmpty();
      claim.tryAgain(() -> find(8, 17), this::told);
      assertThat(changes).containsExactly("sdb2 HELD");
    }
  }

  @Test
  void tryingEndsWithTheLastOneThatIsMissing() throws Exception {
    refused = "sdb2";
    try (PartitionClaim claim = none()) {
      claim.takeWhatIsFree(find(8, 17));
      refused = "";
      claim.keepTrying(() -> find(8, 17), 1, this::told);
      assertThat(changes).containsExactly("sdb2 HELD");
    }
  }

  /** An umount meets the try: what it gets is not kept, and is waited for. */
  @Test
  void whatATryGetsWhileAllIsGivenBackIsGivenBack() throws Exception {
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    Set<String> kept = ConcurrentHashMap.newKeySet();
    AtomicBoolean again = new AtomicBoolean();
    PartitionClaim claim =
        new PartitionClaim(
            other -> {
              if (other.name().equals("sdb2")) {
                if (!again.get()) {
                  throw new ErrnoException("open", other.toString(), Errnos.EBUSY, "");
                }
                begun.countDown();
                try {
                  goOn.await();
                } catch (InterruptedException e) {
                  throw new IOException(e);
                }
              }
              kept.add(other.name());
              return () -> kept.remove(other.name());
            },
            root.resolve("sys"),
            proc);
    claim.takeWhatIsFree(find(8, 17));
    again.set(true);
    try (ExecutorService threads = Executors.newFixedThreadPool(2)) {
      Future<?> trying =
          threads.submit(
              () -> {
                claim.keepTrying(() -> find(8, 17), 1, this::told);
                return null;
              });
      begun.await();
      claim.close(1); // it does not wait for ever
      assertThat(kept).isEmpty();
      Future<?> closing = threads.submit(() -> claim.close(60_000));
      goOn.countDown();
      closing.get();
      assertThat(kept).isEmpty();
      trying.get();
    }
    assertThat(kept).isEmpty();
  }
}
