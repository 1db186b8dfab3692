// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StartTest {
  @TempDir Path directory;

  @Test
  void argumentsOfTheKernelAreRead() {
    Arguments parsed =
        Arguments.parse(
            List.of(
                "--device", "/dev/sda", "--uuid", "000102030405060708090a0b0c0d0e0f", "--restart"));
    assertThat(parsed)
        .isInstanceOfSatisfying(
            Arguments.Run.class,
            run -> {
              assertThat(run.device()).isEqualTo("/dev/sda");
              assertThat(run.uuid()).hasToString("00010203-0405-0607-0809-0a0b0c0d0e0f");
              assertThat(run.restart()).isTrue();
              assertThat(run.debug()).isFalse();
            });
  }

  @Test
  void badArgumentsAreNamed() {
    assertWrong(List.of(), "--device and --uuid");
    assertWrong(List.of("--device"), "--device needs");
    assertWrong(List.of("--device", "x", "--uuid", "xyz"), "--uuid xyz");
    assertWrong(List.of("--device", "x", "--uuid", "00"), "32 hexadecimal");
    assertWrong(List.of("--frobnicate"), "--frobnicate");
  }

  private static void assertWrong(List<String> words, String part) {
    assertThat(Arguments.parse(words))
        .isInstanceOfSatisfying(
            Arguments.Wrong.class, wrong -> assertThat(wrong.why()).contains(part));
  }

  @Test
  void theNodeUuidIsMadeOnceAndKept() throws IOException {
    Path file = directory.resolve("etc/node.uuid");
    NodeIdentity first = NodeIdentity.load(file);
    assertThat(first.uuid().version()).isEqualTo(4);
    assertThat(NodeIdentity.load(file)).isEqualTo(first);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
        .isEqualTo("rw-------");
    try (var files = Files.list(directory.resolve("etc"))) {
      assertThat(files).hasSize(1);
    }
  }

  @Test
  void daemonsThatMakeTheNodeUuidAtOnceAgree() throws Exception {
    Path file = directory.resolve("node.uuid");
    int count = 8;
    CountDownLatch start = new CountDownLatch(1);
    Set<NodeIdentity> seen = ConcurrentHashMap.newKeySet();
    try (ExecutorService executor = Executors.newFixedThreadPool(count)) {
      List<Future<Void>> all = new java.util.ArrayList<>();
      for (int i = 0; i < count; i++) {
        Path own = directory.resolve("tmp" + i);
        Files.createDirectories(own);
        Callable<Void> task =
            () -> {
              start.await();
              seen.add(NodeIdentity.load(file));
              return null;
            };
        all.add(executor.submit(task));
      }
      start.countDown();
      for (Future<Void> each : all) {
        each.get();
      }
    }
    assertThat(seen).hasSize(1);
  }

  @Test
  void aNodeUuidThatIsNoneIsNotReplaced() throws IOException {
    Path file = directory.resolve("node.uuid");
    for (String bad : List.of("", "hello", "00000000-0000-0000-0000-000000000000", "1-1-4-8-1")) {
      Files.writeString(file, bad + "\n");
      assertThatThrownBy(() -> NodeIdentity.load(file))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("node.uuid")
          .hasMessageContaining("remove it");
      assertThat(Files.readString(file)).isEqualTo(bad + "\n");
    }
  }

  @Test
  void anIncarnationIsNeverUsedTwice() throws IOException {
    Incarnations incarnations = new Incarnations(directory, "volume");
    assertThat(incarnations.next(100)).isEqualTo(100);
    incarnations.remember(100);
    assertThat(incarnations.next(100)).isEqualTo(101);
    assertThat(incarnations.next(50)).isEqualTo(101);
    assertThat(incarnations.next(200)).isEqualTo(200);
    Files.writeString(directory.resolve("volume.incarnation"), "nonsense");
    assertThat(incarnations.next(7)).isEqualTo(7);
  }

  private static long uptimeMillis() throws IOException {
    // CLOCK_BOOTTIME, too, in hundredths of a second (proc(5)).
    String seconds = Files.readString(Path.of("/proc/uptime")).split(" ")[0];
    return Math.round(Double.parseDouble(seconds) * 1_000);
  }

  @Test
  void aTimeOfThePolicyIsAnInstantOfTheKernelsClock() throws IOException {
    BootClock clock = new BootClock();
    long before = uptimeMillis();
    long told = clock.toBootNanos(clock.millis()) / 1_000_000;
    long after = uptimeMillis();
    assertThat(told).isBetween(before - 1, after + 10);
    assertThat(clock.toBootNanos(500) - clock.toBootNanos(0)).isEqualTo(500_000_000L);
  }

  @Test
  void whatTheRunTimeLeavesBesideTheLogIsBounded() throws IOException {
    Files.write(directory.resolve("jvm.log"), new byte[(int) Housekeeping.SAID_MAX + 1]);
    Files.writeString(directory.resolve("volume.log"), "kept");
    for (int i = 0; i < 20; i++) {
      Path report = directory.resolve("jvm-" + i + ".log");
      Files.writeString(report, "");
      Files.setLastModifiedTime(report, FileTime.fromMillis(1_000_000L * i));
    }
    Housekeeping.run(directory);
    assertThat(directory.resolve("jvm.log")).isEmptyFile();
    assertThat(directory.resolve("volume.log")).hasContent("kept");
    try (var reports = Files.newDirectoryStream(directory, "jvm-*.log")) {
      assertThat(reports).hasSize(Housekeeping.REPORTS_KEPT);
    }
    assertThat(directory.resolve("jvm-19.log")).exists();
    Housekeeping.run(directory.resolve("none"));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void theWarmUpEndsInBeingFenced(boolean beats) throws IOException {
    Warmup.run(beats);
  }

  /** Danger 31 of docs/takeover.md: the kernel waits for LEFT for 10 s in all. */
  @Test
  void whatLeavingWaitsForHasOneEnd() {
    long end = System.nanoTime() + 3_000_000_000L;
    assertThat(Daemon.quiesce(millis -> millis > 0 && millis <= 3_000, end)).isTrue();
    assertThat(Daemon.quiesce(millis -> millis == 0, System.nanoTime())).isTrue();
  }

  @Test
  void theTrainingRunsAndLeavesNothingBehind() throws Exception {
    Training.run();
  }
}
