// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@link FormatFuzzer} under Jazzer, in a JVM of its own: it invents inputs and keeps those that
 * reach code no other one reached.
 *
 * <p>Short by default; {@code -Dfuzz.seconds=3600} for the long run. What it found worth keeping
 * stays in {@code target/fuzz/corpus}, a finding in {@code target/fuzz}.
 */
class FuzzTest {
  private static final int SECONDS = Integer.getInteger("fuzz.seconds", 10);

  /**
   * A fuzzer that does not call the parsers reaches none; a host that does much else reached 456 in
   * its seconds, a quiet one a hundred thousand.
   */
  private static final long LEAST_INPUTS = 100;

  @TempDir Path dir;

  @Test
  @Timeout(4 * 3600) // the fuzzer ends by itself; this is for one that does not
  void noInputMakesTheParsersThrowAnythingButTheirOwnException() throws Exception {
    Path folder = Files.createDirectories(Path.of("target", "fuzz"));
    Path corpus = Files.createDirectories(folder.resolve("corpus"));
    for (int i = 0; i < FormatFuzzer.FORMATS.size(); i++) {
      String seed = "%02x".formatted(i) + FormatFuzzer.FORMATS.get(i).seed();
      Files.write(corpus.resolve("seed-" + i), HexFormat.of().parseHex(seed));
    }
    String output = fuzz(folder, corpus);
    Matcher done = Pattern.compile("stat::number_of_executed_units:\\s+(\\d+)").matcher(output);
    assertThat(done.find()).as("the fuzzer's own account in:%n%s", output).isTrue();
    assertThat(Long.parseLong(done.group(1))).isGreaterThan(LEAST_INPUTS);
    System.out.println("fuzzed " + done.group(1) + " inputs in " + SECONDS + " s");
  }

  @Test
  void everySeedIsGoodData() throws Exception {
    for (FormatFuzzer.Format format : FormatFuzzer.FORMATS) {
      assertThat(format.parser().parse(HexFormat.of().parseHex(format.seed()))).isNotNull();
    }
  }

  private String fuzz(Path folder, Path corpus) throws IOException, InterruptedException {
    Path log = dir.resolve("fuzz.log");
    Process fuzzer =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:+EnableDynamicAgentLoading",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                System.getProperty("java.class.path"),
                "com.code_intelligence.jazzer.Jazzer",
                "--target_class=" + FormatFuzzer.class.getName(),
                "--instrumentation_includes=org.mxfs.scsi.**",
                "--reproducer_path=" + folder,
                "-artifact_prefix=" + folder + "/",
                "-max_total_time=" + SECONDS,
                "-max_len=1024",
                "-timeout=5",
                "-print_final_stats=1",
                corpus.toString())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    try {
      int status = fuzzer.waitFor();
      String output = Files.readString(log);
      assertThat(status).as("the fuzzer's end:%n%s", output).isZero();
      return output;
    } finally {
      fuzzer.destroyForcibly().waitFor();
    }
  }
}
