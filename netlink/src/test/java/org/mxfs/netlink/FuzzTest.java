// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.bindings.linux.Netlink;

/**
 * {@link WireFuzzer} under Jazzer, in a JVM of its own: it invents inputs and keeps those that
 * reach code no other one reached.
 *
 * <p>Short by default; {@code -Dfuzz.seconds=3600} for the long run. What it found worth keeping
 * stays in {@code target/fuzz/corpus}, a finding in {@code target/fuzz}.
 */
class FuzzTest {
  private static final int SECONDS = Integer.getInteger("fuzz.seconds", 12);

  @TempDir Path dir;

  @Test
  @Timeout(4 * 3600) // the fuzzer ends by itself; this is for one that does not
  void noInputMakesTheParsersThrowAnythingButTheirOwnException() throws Exception {
    Path folder = Files.createDirectories(Path.of("target", "fuzz"));
    Path corpus = Files.createDirectories(folder.resolve("corpus"));
    writeSeeds(corpus);
    String output = fuzz(folder, corpus);
    Matcher done = Pattern.compile("stat::number_of_executed_units:\\s+(\\d+)").matcher(output);
    assertThat(done.find()).as("the fuzzer's own account in:%n%s", output).isTrue();
    assertThat(Long.parseLong(done.group(1))).isGreaterThan(10_000);
    System.out.println("fuzzed " + done.group(1) + " inputs in " + SECONDS + " s");
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
                "--target_class=" + WireFuzzer.class.getName(),
                "--instrumentation_includes=org.mxfs.netlink.**",
                "--reproducer_path=" + folder,
                "-artifact_prefix=" + folder + "/",
                "-max_total_time=" + SECONDS,
                "-max_len=4096",
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

  /** One message of each kind, so that the fuzzer need not find out the format first. */
  private static void writeSeeds(Path corpus) throws IOException {
    Family family = new Family(0x20, "test", 1, 0, 0, Map.of());
    byte[] request =
        Wire.request(
            family,
            1,
            1,
            5,
            6,
            Attributes.builder()
                .u16(1, 0x20)
                .string(2, "test")
                .u32(3, 1)
                .nested(7, b -> b.nested(1, c -> c.string(1, "group").u32(2, 4)))
                .build());
    byte[] explained =
        Attributes.builder()
            .string(Netlink.NLMSGERR_ATTR_MSG, "text")
            .u32(Netlink.NLMSGERR_ATTR_OFFS, 24)
            .u32(Netlink.NLMSGERR_ATTR_MISS_TYPE, 3)
            .build()
            .encoded();
    int tlvs = Netlink.NLM_F_ACK_TLVS;
    Files.write(corpus.resolve("request"), request);
    Files.write(corpus.resolve("attributes"), explained);
    Files.write(
        corpus.resolve("capped"),
        frame(Netlink.NLMSG_ERROR, tlvs | Netlink.NLM_F_CAPPED, header(request), explained));
    Files.write(corpus.resolve("full"), frame(Netlink.NLMSG_ERROR, tlvs, request, explained));
    Files.write(corpus.resolve("done"), frame(Netlink.NLMSG_DONE, tlvs, new byte[0], explained));
  }

  private static byte[] header(byte[] message) {
    return java.util.Arrays.copyOf(message, 16);
  }

  private static byte[] frame(int type, int flags, byte[] repeated, byte[] attributes) {
    int length = 20 + repeated.length + attributes.length;
    ByteBuffer b = ByteBuffer.allocate(length).order(ByteOrder.nativeOrder());
    b.putInt(length).putShort((short) type).putShort((short) flags).putInt(5).putInt(6);
    return b.putInt(-22).put(repeated).put(attributes).array();
  }
}
