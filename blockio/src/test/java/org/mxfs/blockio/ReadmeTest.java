// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The README's examples are these, compiled and run. */
@Timeout(60)
class ReadmeTest {
  @TempDir Path dir;

  private Path file() throws IOException {
    Path path = dir.resolve("disk");
    try (RandomAccessFile f = new RandomAccessFile(path.toFile(), "rw")) {
      f.setLength(1 << 20);
    }
    return path;
  }

  static String shared(Path path) throws IOException, InterruptedException {
    // example: shared
    try (BlockDevice disk = BlockDevices.open(path)) {
      MemorySegment sector = disk.buffers().asSlice(0, disk.blockSize());
      disk.read(0, sector); // waits
      sector.set(ValueLayout.JAVA_INT, 0, 42);
      disk.writeThrough(0, sector); // durable on return

      CountDownLatch ended = new CountDownLatch(2);
      BlockDevice.Callback callback =
          (tag, result) -> { // result: 0 or -errno
            if (result == 0) {
              ended.countDown();
            }
          };
      MemorySegment[] parts = {
        disk.buffers().asSlice(8192, 4096), disk.buffers().asSlice(65536, 8192)
      };
      BlockDevice impatient = disk.withTimeout(Duration.ofSeconds(2));
      disk.plug(); // one system call for both:
      impatient.read(4096, parts, callback, 1);
      impatient.read(0, sector, callback, 2);
      disk.unplug();
      ended.await();

      FreezeReport report =
          disk.freeze(Duration.ofSeconds(2)); // stop, drain, flush, by the deadline
      return report.toString();
    }
    // end
  }

  static int confined(Path path) throws IOException {
    // example: confined
    try (ConfinedBlockDevice disk = BlockDevices.openConfined(path, BlockDevices.Options.DEFAULT)) {
      int[] sum = new int[1];
      disk.plug();
      for (int i = 0; i < 16; i++) {
        MemorySegment memory = disk.buffers().asSlice(i * 4096L, 4096);
        disk.read(
            i * 4096L, memory, (tag, result) -> sum[0] += memory.get(ValueLayout.JAVA_INT, 0), i);
      }
      disk.await(16, Duration.ofSeconds(30)); // one system call sends all and waits
      return sum[0];
    }
    // end
  }

  @Test
  void theExamplesDoWhatTheySay() throws Exception {
    Path path = file();
    assertThat(shared(path))
        .isEqualTo("drained=true inFlight=0 flushIssued=true flushCompleted=true");
    assertThat(confined(path)).isEqualTo(42);
  }

  @Test
  void theReadmeShowsTheExamplesAsTheyAre() throws IOException {
    String source = Files.readString(Path.of("src/test/java/org/mxfs/blockio/ReadmeTest.java"));
    String readme = squeezed(Files.readString(Path.of("README.md")));
    Matcher example = Pattern.compile("(?s)// example: (\\w+)\n(.*?)// end").matcher(source);
    int found = 0;
    while (example.find()) {
      assertThat(readme).as(example.group(1)).contains(squeezed(example.group(2)));
      found++;
    }
    assertThat(found).isEqualTo(2);
  }

  /** The formatter breaks lines where a page does not. */
  private static String squeezed(String text) {
    return text.replaceAll("\\s+", "");
  }
}
