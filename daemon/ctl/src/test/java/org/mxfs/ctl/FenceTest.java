// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** {@code mxfsctl fence} on a made-up machine, with a daemon on a real socket. */
@Timeout(60)
class FenceTest {
  private static final String UUID = "0d9f6e2c-1111-2222-3333-444455556666";
  private static final String KEY = "0x0000100900000003";
  private static final String SELF =
      "{\"key\":\"0x0000100100000001\",\"id\":\"00001001\",\"host\":\"n1\",\"self\":true}";
  private static final String NODE2 =
      "{\"key\":\"0x0000100200000002\",\"id\":\"00001002\",\"host\":\"n2\",\"self\":false}";
  private static final String FENCED = missing(KEY, "00001009", "dead", "fenced", "7", "null");
  private static final String CLEARED = "{\"schema\":1,\"refused\":null}";

  @TempDir Path root;

  private final FakeDaemons daemons = new FakeDaemons();
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private String typed = "";

  @BeforeEach
  void machine() throws IOException {
    Files.createDirectories(root.resolve("run/mxfs"));
    Files.createDirectories(root.resolve("proc/self"));
    Files.writeString(
        root.resolve("proc/self/mountinfo"),
        "40 22 8:16 / /mnt/shared rw shared:9 - mxfs /dev/sdb rw\n");
  }

  @AfterEach
  void end() throws IOException {
    daemons.close();
  }

  private static String missing(
      String key, String id, String host, String state, String epoch, String refusal) {
    return "{\"key\":\"%s\",\"id\":\"%s\",\"host\":\"%s\",\"state\":\"%s\",\"ms\":61000,\"epoch\":%s,\"refusal\":%s}"
        .formatted(key, id, host, state, epoch, refusal);
  }

  private static String status(String holder, boolean takeover, String missing) {
    return "{\"schema\":1,\"volume\":{\"uuid\":\""
        + UUID
        + "\",\"device\":\"/dev/sdb\",\"major\":8,\"minor\":16},\"status\":{\"state\":\"owner\",\"holder\":"
        + holder
        + ",\"takeover\":"
        + takeover
        + ",\"missing\":["
        + missing
        + "]}}";
  }

  /** Answers each request with what this makes of it. */
  private void daemon(UnaryOperator<String> answers) throws IOException {
    daemons.start(root, UUID, answers);
  }

  /** As the daemon: gone from the status a while after it was told. */
  private void obedient(String missing) throws IOException {
    int[] looks = {0};
    daemon(
        request -> {
          if (request.startsWith("fence-clear")) {
            looks[0] = 1;
            return CLEARED;
          }
          boolean gone = looks[0] != 0 && looks[0]++ > 2;
          return status(SELF, true, gone ? "" : missing);
        });
  }

  private int run(String... words) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    Volumes volumes = new Volumes(root, 2_000);
    CommandLine line = new CommandLine(new FenceCommand());
    line.addSubcommand(new FenceListCommand(volumes));
    line.addSubcommand(
        new FenceClearCommand(
            volumes, new ByteArrayInputStream(typed.getBytes(StandardCharsets.UTF_8))));
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    int status = line.execute(words);
    assertThat(out.toString() + err).doesNotContain("\tat ").doesNotContain("Exception");
    return status;
  }

  private List<String> clears() {
    return daemons.asked.stream().filter(each -> !each.equals("status")).toList();
  }

  @Test
  void whoIsNotBackIsListedWithWhatIsKnownOfIt() throws IOException {
    String second = missing("0x0000100a00000004", "0000100a", "", "shut_out", "null", "\"x\"");
    daemon(_ -> status(NODE2, true, FENCED + "," + second));
    assertThat(run("list")).isEqualTo(1);
    assertThat(out.toString())
        .isEqualTo(
            UUID
                + " on /mnt/shared (/dev/sdb)\n"
                + "  dead (node 00001009), key 0x0000100900000003: fenced, epoch 7 on disk, known"
                + " here for 1 min 1 s\n"
                + "  node 0000100a, key 0x0000100a00000004: shut out, not yet known to have ended,"
                + " known here for 1 min 1 s\n");
    assertThat(run("list", "--json", "/mnt/shared")).isEqualTo(1);
    assertThat(out.toString())
        .startsWith("{\"schema\":1,\"volumes\":[{\"uuid\":\"" + UUID)
        .endsWith(
            ",\"answer\":\"said\",\"takeover\":true,\"missing\":["
                + FENCED
                + ","
                + second.replace("\"host\":\"\"", "\"host\":\"\"")
                + "]}]}\n");
  }

  @Test
  void nobodyIsListedWhereAllIsWell() throws IOException {
    daemon(_ -> status(SELF, true, ""));
    assertThat(run("list")).isZero();
    assertThat(out.toString()).endsWith("\n  nobody\n");
    assertThat(run("list", "/elsewhere")).isEqualTo(3);
    assertThat(run("list", "--nonsense")).isEqualTo(2);
    assertThat(run()).isEqualTo(2);
  }

  @Test
  void whereTakeoverIsOffThatIsSaid() throws IOException {
    daemon(_ -> status(SELF, false, ""));
    assertThat(run("list")).isZero();
    assertThat(out.toString()).contains("takeover is off");
    assertThat(run("clear", "--yes", "dead")).isEqualTo(1);
    assertThat(err.toString()).contains("takeover is off").contains("nothing was changed");
    assertThat(clears()).isEmpty();
  }

  @Test
  void aDaemonThatDoesNotAnswerIsNoAllClear() {
    assertThat(run("list")).isEqualTo(1);
    assertThat(out.toString()).contains("does not say");
    assertThat(run("clear", "--yes", "dead")).isEqualTo(4);
  }

  @Test
  void theOneThatIsNamedIsCleared() throws IOException {
    obedient(FENCED);
    assertThat(run("clear", "--yes", "dead")).isZero();
    assertThat(out.toString()).isEqualTo("cleared: dead (node 00001009), key " + KEY + "\n");
    assertThat(clears()).containsExactly("fence-clear " + KEY);
  }

  @Test
  void itIsAskedForTheNodeIdAndNothingElseWillDo() throws IOException {
    obedient(FENCED);
    for (String wrong : List.of("", "\n", "y\n", "yes\n", "dead\n", "00001008\n")) {
      typed = wrong;
      assertThat(run("clear", KEY)).as(wrong).isEqualTo(1);
      assertThat(err.toString()).contains("not confirmed").contains("nothing was changed");
    }
    assertThat(clears()).isEmpty();
    typed = "00001009\n";
    assertThat(run("clear", KEY)).isZero();
    assertThat(out.toString()).contains("powered off").contains("cleared: dead");
    assertThat(clears()).hasSize(1);
  }

  @Test
  void aNodeIsNamedByKeyIdOrHost() throws IOException {
    obedient(FENCED);
    for (String name : List.of("0000100900000003", "0x1009", "DEAD", "1009", "all", "")) {
      assertThat(run("clear", "--yes", name)).as(name).isEqualTo(1);
      assertThat(err.toString()).contains("is none of those");
    }
    assertThat(clears()).isEmpty();
    assertThat(run("clear", "--yes", "00001009", UUID)).isZero();
    assertThat(run("clear", "--yes")).isEqualTo(2);
  }

  @Test
  void aNameOfTwoIsRefused() throws IOException {
    String earlier = missing("0x0000100900000002", "00001009", "dead", "fenced", "5", "null");
    obedient(FENCED + "," + earlier);
    assertThat(run("clear", "--yes", "dead")).isEqualTo(1);
    assertThat(err.toString()).contains("more than one");
    assertThat(clears()).isEmpty();
  }

  @Test
  void onAnotherNodeItIsSaidWhereToRunIt() throws IOException {
    daemon(_ -> status(NODE2, true, FENCED));
    assertThat(run("clear", "--yes", "dead")).isEqualTo(1);
    assertThat(err.toString()).contains("run it on n2 (node 00001002)");
    assertThat(run("clear", "--yes", "--json", "dead")).isEqualTo(1);
    assertThat(out.toString()).contains("\"outcome\":\"refused\"").contains("run it on n2");
    assertThat(clears()).isEmpty();
  }

  @Test
  void oneThatIsNotFencedYetIsRefusedInTheDaemonsWords() throws IOException {
    daemon(
        _ -> status(SELF, true, missing(KEY, "00001009", "dead", "missing", "7", "\"not yet\"")));
    assertThat(run("clear", "--yes", "dead")).isEqualTo(1);
    assertThat(err.toString()).contains("not yet; nothing was changed");
    assertThat(clears()).isEmpty();
  }

  @Test
  void whatTheDaemonRefusesIsRefused() throws IOException {
    daemon(
        request ->
            request.equals("status")
                ? status(SELF, true, FENCED)
                : "{\"schema\":1,\"refused\":\"not the holder\\u001b\"}");
    assertThat(run("clear", "--yes", "dead")).isEqualTo(1);
    assertThat(err.toString()).contains("not the holder?; nothing was changed");
  }

  /** An older one knows no such request. */
  @Test
  void aDaemonThatDoesNotKnowTheRequestHasNotDoneIt() throws IOException {
    daemon(
        request ->
            request.equals("status")
                ? status(SELF, true, FENCED)
                : "{\"schema\":1,\"error\":\"unknown request\"}");
    assertThat(run("clear", "--yes", "dead")).isEqualTo(4);
    assertThat(err.toString()).contains("unknown request");
  }

  @Test
  void theResultIsJsonWhereThatIsWanted() throws IOException {
    obedient(FENCED);
    assertThat(run("clear", "--json", "dead")).as("who would be asked?").isEqualTo(1);
    assertThat(out.toString()).contains("not confirmed");
    assertThat(run("clear", "--json", "--yes", "dead")).isZero();
    assertThat(out.toString())
        .startsWith(
            "{\"schema\":1,\"outcome\":\"cleared\",\"key\":\"" + KEY + "\",\"why\":null,\"uuid\":");
  }
}
