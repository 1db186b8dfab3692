// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi.tool;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.HexFormat;
import java.util.List;
import java.util.Queue;
import org.junit.jupiter.api.Test;
import org.mxfs.scsi.CommandTransport;
import org.mxfs.scsi.ScsiDevice;

/** The example in README.md is the one that is compiled, and it does what it says. */
class ReadmeTest {
  private static final CommandTransport.Completion CONFLICT =
      new CommandTransport.Completion(0, 0x18, 0, 0, new byte[0], new byte[0]);

  @Test
  void theExampleIsTheOneInTheReadme() throws IOException {
    String source =
        Files.readString(Path.of("src/test/java/org/mxfs/scsi/tool/ReadmeExample.java"));
    String example = between(source, "  // README: begin\n", "  // README: end").indent(-2);
    assertThat(between(Files.readString(Path.of("README.md")), "```java\n", "```"))
        .isEqualTo(example);
  }

  private static String between(String text, String begin, String end) {
    int from = text.indexOf(begin);
    assertThat(from).as("'%s'", begin).isNotNegative();
    return text.substring(from + begin.length(), text.indexOf(end, from + begin.length()));
  }

  @Test
  void theExampleTakesAFreeDiskAndPreemptsAHolder() throws IOException {
    try (ScsiDevice free = disk(good(""), good(""))) {
      assertThat(ReadmeExample.takeOver(free, 0xa)).isEqualTo("it was free");
    }
    String heldByB = "00000002 00000010 000000000000000b 00000000 00 05 0000";
    String heldByA = "00000003 00000010 000000000000000a 00000000 00 05 0000";
    String onlyA = "00000003 00000008 000000000000000a";
    try (ScsiDevice held =
        disk(good(""), CONFLICT, good(heldByB), good(""), good(onlyA), good(heldByA))) {
      assertThat(ReadmeExample.takeOver(held, 0xa)).isEqualTo("GONE_AND_HELD, registered now: 1");
    }
  }

  private static CommandTransport.Completion good(String data) {
    byte[] bytes = HexFormat.of().parseHex(data.replace(" ", ""));
    return new CommandTransport.Completion(0, 0, 0, 0, new byte[0], bytes);
  }

  private static ScsiDevice disk(CommandTransport.Completion... answers) {
    Queue<CommandTransport.Completion> queue = new ArrayDeque<>(List.of(answers));
    CommandTransport transport =
        new CommandTransport() {
          @Override
          public Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout) {
            return queue.remove();
          }

          @Override
          public void close() {
            assertThat(queue).isEmpty();
          }
        };
    return new ScsiDevice("example", transport, ScsiDevice.Options.DEFAULT);
  }
}
