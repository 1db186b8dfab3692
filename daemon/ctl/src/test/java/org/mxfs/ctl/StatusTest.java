// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/**
 * {@code mxfsctl status} and {@code nodes} on a made-up machine, with daemons on real sockets; with
 * the real daemon and module the lab's script {@code status} looks at them.
 */
@Timeout(60)
class StatusTest {
  private static final String UUID = "0d9f6e2c-1111-2222-3333-444455556666";

  private static final String NODE2 =
      "\"key\":\"0x0000100200000002\",\"id\":\"00001002\",\"host\":\"n2\",\"self\":false";

  private static final String SELF =
      "\"key\":\"0x0000100100000001\",\"id\":\"00001001\",\"host\":\"n1\",\"self\":true";

  private static final String PEER2 =
      peer("00001002", "n2", "\"0x0000100200000002\"", true, "\"10.0.0.2:7600\"", "30", "null");

  @TempDir Path root;

  private final FakeDaemons daemons = new FakeDaemons();
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeEach
  void machine() throws IOException {
    write("proc/self/mountinfo", "22 1 253:0 / / rw - ext4 /dev/vda rw\n");
    Files.createDirectories(root.resolve("run/mxfs"));
  }

  @AfterEach
  void end() throws IOException {
    daemons.close();
  }

  // ---- the machine ----

  private void write(String name, String text) throws IOException {
    Path file = root.resolve(name);
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
  }

  private void mount(String number, String place, String device) throws IOException {
    Path table = root.resolve("proc/self/mountinfo");
    Files.writeString(
        table,
        Files.readString(table)
            + ("40 22 " + number + " / " + place + " rw,relatime shared:9 - mxfs ")
            + (device + " rw\n"));
  }

  private void disk(String number, String name) throws IOException {
    Files.createDirectories(root.resolve("sys/class/block/" + name));
    write("sys/class/block/" + name + "/dev", number + "\n");
    Files.createDirectories(root.resolve("sys/dev/block"));
    Files.createSymbolicLink(
        root.resolve("sys/dev/block/" + number), Path.of("../../class/block/" + name));
  }

  private void module(String name, String... lines) throws IOException {
    write(
        "sys/kernel/debug/mxfs/" + name + "/status",
        "device /dev/" + name + "\nuuid " + UUID + "\n" + String.join("\n", lines) + "\n");
  }

  private static final String[] WELL = {
    "state attached",
    "frozen 0",
    "epoch 7",
    "clustered 1",
    "lease_ms 17300",
    "waiters 0",
    "daemon_port 99",
    "daemon_starts 1"
  };

  private Path socket(String uuid) {
    return FakeDaemons.socket(root, uuid);
  }

  private ServerSocketChannel listen(String uuid) throws IOException {
    return daemons.listen(root, uuid);
  }

  /** A daemon that says this to everybody. */
  private void daemon(String uuid, String answer) throws IOException {
    daemons.start(root, uuid, _ -> answer);
  }

  private static String peer(
      String id, String host, String key, boolean up, String address, String heard, String why) {
    return "{\"id\":\"%s\",\"host\":\"%s\",\"key\":%s,\"connected\":%s,\"mounted\":%s,\"address\":%s,\"heard_ms\":%s,\"protocol\":%s,\"trouble\":%s}"
        .formatted(id, host, key, up, up, address, heard, up ? "2" : "null", why);
  }

  private static String said(
      String state, String holder, String waiting, String waiters, String peers, String log) {
    return ("{\"schema\":1,\"daemon\":{\"version\":\"" + Main.NUMBER)
        + "\",\"pid\":77,\"up_ms\":303000,\"restarted\":false},"
        + ("\"volume\":{\"uuid\":\"" + UUID + "\",\"device\":\"/dev/sdb\",\"major\":8,\"minor\":16")
        + ",\"read_only\":false},\"node\":{\"id\":\"00001001\",\"host\":\"n1\",\"port\":7600,"
        + "\"key\":\"0x0000100100000001\",\"protocol\":2},\"status\":{\"stepped_ms\":40,\"state\":"
        + ("\"" + state + "\",\"state_ms\":192000,\"xfs\":\"attached\",\"ready\":true,\"epoch\":7,")
        + ("\"holder\":" + holder + ",\"lease_ms\":20000,\"lease_left_ms\":17000,\"waiting\":")
        + (waiting + ",\"waiters\":[" + waiters + "],\"peers\":[" + peers + "]},\"log\":[" + log)
        + "]}";
  }

  private static String owner(String peers) {
    return said("owner", "{" + SELF + "}", "null", "", peers, "");
  }

  private int run(String... words) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line = Main.commandLine(new Volumes(root, 300));
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    int status = line.execute(words);
    assertThat(out.toString() + err).doesNotContain("\tat ").doesNotContain("Exception");
    return status;
  }

  private void healthy() throws IOException {
    mount("8:16", "/mnt/shared", "/dev/sdb");
    disk("8:16", "sdb");
    module("sdb", WELL);
    daemon(UUID, owner(PEER2));
  }

  // ---- what is said ----

  @Test
  void aHealthyOwnerIsOneScreen() throws IOException {
    healthy();
    assertThat(run("status")).isZero();
    assertThat(out.toString())
        .isEqualTo(
            """
              volume: 0d9f6e2c-1111-2222-3333-444455556666
               mount: /dev/sdb on /mnt/shared
               state: owner for 3 min 12 s
             waiting: nobody
               epoch: 7
                node: n1 (node 00001001), key 0x0000100100000001
              daemon: pid 77 for 5 min 3 s, mxfs NUMBER
              holder: this node, key 0x0000100100000001
               lease: 17.3 s of 20.0 s left
               peers:
                      NODE      HOST  STATE      ADDRESS        HEARD      PROTOCOL  KEY
                      00001002  n2    connected  10.0.0.2:7600  0.0 s ago  2         0x0000100200000002
              health: ok
            """
                .replace("NUMBER", Main.NUMBER));
    assertThat(err.toString()).isEmpty();
  }

  @Test
  void howNodesAreFencedIsShownWhereTakeoverIsOn() throws IOException {
    healthy();
    String fencing =
        "\"fencing\":{\"by\":\"%s\",\"life_ms\":303000,\"setting\":\"true\",\"found\":\"%s\","
            + "\"why\":\"a\\u001bdisk\"},\"status\":{";
    Files.delete(socket(UUID));
    daemon(UUID, owner(PEER2).replace("\"status\":{", fencing.formatted("wait", "wait")));
    assertThat(run("status")).isZero();
    assertThat(out.toString()).contains("\n fencing: by waiting 303 s: a?disk\n");
    Files.delete(socket(UUID));
    daemon(UUID, owner(PEER2).replace("\"status\":{", fencing.formatted("reset", "reset")));
    assertThat(run("status")).isZero();
    assertThat(out.toString()).contains("\n fencing: by a LOGICAL UNIT RESET: a?disk\n");
    Files.delete(socket(UUID));
    daemon(UUID, owner(PEER2).replace("\"status\":{", "\"fencing\":null,\"status\":{"));
    assertThat(run("status")).isZero();
    assertThat(out.toString()).doesNotContain("fencing");
  }

  @Test
  void aVolumeIsFoundByEachOfItsNames() throws IOException {
    healthy();
    Files.createDirectories(root.resolve("dev/disk/by-label"));
    Files.createSymbolicLink(root.resolve("dev/disk/by-label/my\\x20data"), Path.of("../../sdb"));
    for (String name :
        List.of(
            UUID, UUID.replace("-", ""), "/mnt/shared", "/mnt/shared/", "/dev/sdb", "my data")) {
      assertThat(run("status", name)).as(name).isZero();
      assertThat(out.toString()).contains("volume: " + UUID + " \"my data\"");
    }
    for (String name : List.of("/mnt", "nonsense", "/dev/sdc", "/dev/null")) {
      assertThat(run("status", name)).as(name).isEqualTo(3);
      assertThat(err.toString())
          .contains("no mxfs volume " + name + " is mounted here; there is " + UUID);
    }
    assertThat(run("status", "two", "names")).isEqualTo(2);
    assertThat(run("status", "--nonsense")).isEqualTo(2);
  }

  @Test
  void nothingMountedIsNoFault() {
    assertThat(run("status")).isZero();
    assertThat(out.toString()).isEqualTo("no mxfs volume is mounted here\n");
    assertThat(run("nodes")).isZero();
    assertThat(run("status", "--json")).isZero();
    assertThat(out.toString()).isEqualTo("{\"schema\":1,\"volumes\":[]}\n");
    assertThat(run("status", "/mnt")).isEqualTo(3);
    assertThat(err.toString()).contains("there is none");
  }

  @Test
  void aMachineThatCannotBeReadIsSaid() throws IOException {
    Files.delete(root.resolve("proc/self/mountinfo"));
    CommandLine line = Main.commandLine(new Volumes(root, 300));
    line.setErr(new PrintWriter(err));
    assertThat(line.execute("status")).isEqualTo(4);
    assertThat(err.toString()).contains("cannot be read").doesNotContain("\tat ");
  }

  @Test
  void aMemberThatWaitsSaysForWhomAndWhy() throws IOException {
    mount("8:16", "/mnt/shared", "/dev/sdb");
    disk("8:16", "sdb");
    module("sdb", "state detached", "frozen 0", "clustered 1", "lease_ms 15000", "waiters 3");
    String waiting = "{\"ms\":%s,\"why\":\"%s\",\"for\":{" + NODE2 + "}}";
    String holder = "{" + NODE2 + "}";
    daemon(UUID, said("member", holder, waiting.formatted("700", "owner_has_it"), "", PEER2, ""));
    assertThat(run("status")).isZero();
    assertThat(out.toString())
        .contains("state: member for 3 min 12 s: n2 (node 00001002) owns the volume\n")
        .contains(
            "waiting: 3 operations of this node, for 0.7 s: n2 (node 00001002) has the volume, and"
                + " is asked\n");
    again();
    daemon(UUID, said("member", holder, waiting.formatted("11000", "owner_has_it"), "", PEER2, ""));
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString()).contains("n2 (node 00001002) does not give the volume up");
    again();
    String gone = peer("00001002", "n2", "null", false, "null", "90000", "null");
    daemon(
        UUID,
        said("member", holder, waiting.formatted("3000", "owner_not_connected"), "", gone, ""));
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString())
        .contains("the owner, n2 (node 00001002), is not connected")
        .contains("not connected, owner");
    assertThat(run("nodes")).isEqualTo(1);
  }

  /** The daemon ends. */
  private void again() throws IOException {
    daemons.end(root, UUID);
  }

  @Test
  void whoWaitsForThisNodeIsNamed() throws IOException {
    healthy();
    again();
    daemon(
        UUID, said("owner", "{" + SELF + "}", "null", "{\"ms\":12000," + NODE2 + "}", PEER2, ""));
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString())
        .contains("waiting: n2 (node 00001002), for 12.0 s\n")
        .contains("* n2 (node 00001002) waits for 12.0 s for this node to give the volume up");
  }

  @Test
  void aDeadDaemonIsSaidWithWhatTheKernelKnows() throws IOException {
    mount("8:16", "/mnt/shared", "/dev/sdb");
    disk("8:16", "sdb");
    module(
        "sdb",
        "state attached",
        "frozen 1",
        "epoch 7",
        "clustered 1",
        "lease_ms 9000",
        "waiters 1",
        "daemon_port 0",
        "daemon_starts 3");
    for (boolean stale : new boolean[] {false, true}) {
      if (stale) {
        listen(UUID).close(); // what a daemon that was killed leaves
      }
      assertThat(run("status")).isEqualTo(1);
      assertThat(out.toString())
          .contains("state: FROZEN: no daemon answers, this node is the owner\n")
          .contains("waiting: 1 operation of this node\n")
          .contains("epoch: 7\n")
          .contains("lease: 9.0 s left\n")
          .contains("The daemon of this volume does not run")
          .contains("It was started 3 times.")
          .contains("/var/log/mxfs/" + UUID + ".log");
      assertThat(run("nodes")).isEqualTo(1);
    }
    // The module of a machine that is locked down says nothing either.
    Files.delete(root.resolve("sys/kernel/debug/mxfs/sdb/status"));
    Files.delete(root.resolve("sys/kernel/debug/mxfs/sdb"));
    assertThat(run("status", "/mnt/shared")).isEqualTo(1);
    assertThat(out.toString())
        .contains("volume: unknown UUID\n")
        .contains("whether one runs is not known");
  }

  @Test
  void aDaemonThatStandsStillIsWaitedForABoundedTime() throws IOException {
    healthy();
    again();
    listen(UUID);
    long began = System.nanoTime();
    assertThat(run("status")).isEqualTo(1);
    assertThat(System.nanoTime() - began).isBetween(290_000_000L, 20_000_000_000L);
    assertThat(out.toString())
        .contains("The daemon of this volume does not answer")
        .contains("kill -9");
  }

  @Test
  void aDaemonThatStandsOnlyInItsPolicyIsTold() throws IOException {
    healthy();
    again();
    daemon(UUID, owner(PEER2).replace("\"stepped_ms\":40", "\"stepped_ms\":25000"));
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString()).contains("decided nothing for 25.0 s").contains("kill -9 77");
  }

  @Test
  void anAnswerThatIsNoneIsSaid() throws IOException {
    for (String answer :
        List.of(
            "nonsense",
            "{\"schema\":1,\"error\":\"unknown request\"}",
            "{\"schema\":2}",
            "[".repeat(100_000),
            "x".repeat(DaemonAnswer.ANSWER_MAX + 1))) {
      Files.deleteIfExists(root.resolve("proc/self/mountinfo"));
      write("proc/self/mountinfo", "");
      mount("8:16", "/mnt/shared", "/dev/sdb");
      if (!Files.exists(root.resolve("sys/dev/block/8:16"))) {
        disk("8:16", "sdb");
        module("sdb", WELL);
      }
      again();
      daemon(UUID, answer);
      assertThat(run("status")).isEqualTo(1);
      assertThat(out.toString()).contains("answers what cannot be understood");
      assertThat(run("status", "--json")).isEqualTo(1);
    }
  }

  @Test
  void aMountThatWasShutDownIsDead() throws IOException {
    mount("8:16", "/mnt/shared", "/dev/sdb");
    disk("8:16", "sdb");
    module("sdb", "state dead", "frozen 0", "clustered 1", "lease_ms 0");
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString())
        .contains("state: DEAD")
        .contains("umount it and mount it again")
        .doesNotContain("does not run");
  }

  @Test
  void aLeaseThatHasRunOutIsToldByTheKernelsWord() throws IOException {
    healthy();
    module("sdb", "state attached", "frozen 0", "clustered 1", "lease_ms 0", "waiters 0");
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString()).contains("The lease has run out");
    module("sdb", "state attached", "frozen 0", "clustered 0", "lease_ms 0", "waiters 0");
    assertThat(run("status")).isZero();
    assertThat(out.toString()).contains("lease: none is needed");
  }

  @Test
  void peersThatCannotBeConnectedAreFaultsAndSilentOnesAreShown() throws IOException {
    healthy();
    again();
    daemon(
        UUID,
        owner(
            peer("00001003", "n3", "null", false, "\"10.0.0.3:7600\"", "900", "null")
                + ","
                + peer("00001004", "n4", "null", false, "null", "null", "\"speaks version 9\"")
                + ","
                + peer("00001005", "n5", "null", false, "null", "99000", "null")));
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString())
        .contains("n3 (node 00001003) announces itself from 10.0.0.3:7600 and is not connected")
        .contains("n4 (node 00001004) cannot be connected: it speaks version 9.")
        .doesNotContain("* n5");
  }

  @Test
  void aMountThatIsUnderWayIsThere() throws IOException {
    disk("8:16", "sdb");
    module("sdb", "state starting", "frozen 0", "clustered 1", "lease_ms 0", "daemon_port 9");
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString()).contains("mount: /dev/sdb in no place that is seen from here");
    daemon(UUID, said("mounting", "null", "null", "", "", ""));
    assertThat(run("status", "/dev/sdb")).isEqualTo(1); // for more than three minutes
    assertThat(out.toString()).contains("state: mounting for 3 min 12 s");
  }

  @Test
  void severalVolumesAreSeveralBlocks() throws IOException {
    healthy();
    mount("8:16", "/mnt/bound", "/dev/sdb");
    mount("8:32", "/mnt/other\\040place", "/dev/sdc");
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString())
        .contains("mount: /dev/sdb on /mnt/shared, /mnt/bound\n")
        .contains("mount: /dev/sdc on /mnt/other place\n")
        .containsOnlyOnce("health: ok")
        .containsOnlyOnce("health: ATTENTION");
    assertThat(run("status", "/mnt/bound")).isZero();
    assertThat(run("status", "/mnt/other place")).isEqualTo(1);
    assertThat(run("status", "nonsense")).isEqualTo(3);
  }

  @Test
  void whatOtherMachinesSayDoesNotReachTheTerminalAsItIs() throws IOException {
    healthy();
    again();
    String nasty = "a\\u001b[2J\\u009b1m\\u202eb\\nc";
    daemon(
        UUID,
        said(
            "owner",
            "{" + SELF + "}",
            "null",
            "",
            PEER2.replace("\"n2\"", "\"" + nasty + "\""),
            "{\"ms\":61000,\"level\":\"warn\",\"text\":\"" + nasty + "\"}"));
    assertThat(run("status")).isZero();
    assertThat(out.toString())
        .contains("1 min 1 s ago warn: a?[2J?1m?b?c\n")
        .doesNotContain("\u001b")
        .doesNotContain("\u009b")
        .doesNotContain("\u202e");
    assertThat(run("nodes", "--json")).isZero();
    assertThat(out.toString()).contains("\\u001b").doesNotContain("\u001b");
    assertThat(out.toString()).doesNotContain("\u009b");
  }

  @Test
  void nodesAreATableWithThisOneFirst() throws IOException {
    healthy();
    assertThat(run("nodes")).isZero();
    assertThat(out.toString())
        .isEqualTo(
            """
            0d9f6e2c-1111-2222-3333-444455556666 on /mnt/shared (/dev/sdb)
              NODE      HOST  STATE             ADDRESS        HEARD      PROTOCOL  KEY
              00001001  n1    this node, owner  port 7600      -          2         0x0000100100000001
              00001002  n2    connected         10.0.0.2:7600  0.0 s ago  2         0x0000100200000002
            """);
  }

  @Test
  void jsonHasItAll() throws Exception {
    healthy();
    assertThat(run("status", "--json")).isZero();
    JsonValue read = JsonValue.read(out.toString());
    assertThat(read.get("schema").number()).isEqualTo(1);
    JsonValue volume = read.get("volumes").list().getFirst();
    assertThat(volume.get("uuid").text()).isEqualTo(UUID);
    assertThat(volume.get("mounts").list().getFirst().text()).isEqualTo("/mnt/shared");
    assertThat(volume.get("healthy").isTrue()).isTrue();
    assertThat(volume.get("answer").text()).isEqualTo("said");
    assertThat(volume.get("daemon").get("status").get("state").text()).isEqualTo("owner");
    assertThat(volume.get("kernel").get("lease_ms").text()).isEqualTo("17300");
    assertThat(run("nodes", "--json")).isZero();
    List<JsonValue> nodes =
        JsonValue.read(out.toString()).get("volumes").list().getFirst().get("nodes").list();
    assertThat(nodes).hasSize(2);
    assertThat(nodes.get(0).get("owner").isTrue()).isTrue();
    assertThat(nodes.get(1).get("address").text()).isEqualTo("10.0.0.2:7600");
    again();
    assertThat(run("status", "--json")).isEqualTo(1);
    volume = JsonValue.read(out.toString()).get("volumes").list().getFirst();
    assertThat(volume.get("daemon").isNull()).isTrue();
    assertThat(volume.get("answer").text()).isEqualTo("nobody");
    assertThat(volume.get("findings").list().getFirst().get("id").text()).isEqualTo("no_socket");
  }

  @Test
  void theSocketOfAVolumeThatIsNotMountedIsNoVolume() throws IOException {
    listen(UUID).close();
    assertThat(run("status")).isZero();
    assertThat(out.toString()).isEqualTo("no mxfs volume is mounted here\n");
  }

  /** A daemon that is stopped takes nobody from the queue, which is full at last. */
  @Test
  void soManyMayAskADaemonThatIsStoppedAsWantTo() throws IOException {
    ServerSocketChannel server =
        daemons.keep(ServerSocketChannel.open(StandardProtocolFamily.UNIX));
    server.bind(UnixDomainSocketAddress.of(socket(UUID)), 1);
    for (int i = 0; i < 5; i++) {
      assertThat(DaemonAnswer.ask(socket(UUID), 50)).isInstanceOf(DaemonAnswer.Silent.class);
    }
  }

  /** A queue that is full: {@code connect()} says so at once where it must not wait (EAGAIN). */
  private List<SocketChannel> fillTheQueue() throws IOException {
    List<SocketChannel> clients = new ArrayList<>();
    SocketChannel client = queued();
    while (client != null) {
      clients.add(client);
      client = queued();
    }
    return clients;
  }

  private @Nullable SocketChannel queued() throws IOException {
    SocketChannel client = SocketChannel.open(StandardProtocolFamily.UNIX);
    client.configureBlocking(false);
    try {
      return client.connect(UnixDomainSocketAddress.of(socket(UUID))) ? client : null;
    } catch (SocketException e) {
      return null; // and the channel is closed
    }
  }

  @Test
  void aPlaceInTheQueueIsWaitedForAsLongAsAnAnswer() throws Exception {
    ServerSocketChannel server =
        daemons.keep(ServerSocketChannel.open(StandardProtocolFamily.UNIX));
    server.bind(UnixDomainSocketAddress.of(socket(UUID)), 1);
    List<SocketChannel> before = fillTheQueue();
    assertThat(before).isNotEmpty();
    long began = System.nanoTime();
    assertThat(DaemonAnswer.ask(socket(UUID), 300)).isInstanceOf(DaemonAnswer.Silent.class);
    assertThat(System.nanoTime() - began).isGreaterThan(290_000_000L);
    // It is busy, and comes to us in the end.
    Thread serves =
        Thread.ofPlatform()
            .start(
                () -> {
                  try {
                    for (int i = 0; i < before.size(); i++) {
                      server.accept().close();
                    }
                    daemons.answer(server, _ -> owner(PEER2));
                  } catch (IOException e) {
                    throw new UncheckedIOException(e);
                  }
                });
    assertThat(DaemonAnswer.ask(socket(UUID), 20_000)).isInstanceOf(DaemonAnswer.Said.class);
    serves.join();
    for (SocketChannel each : before) {
      each.close();
    }
  }

  /** It takes the next client, and ends with its request unread: the client hears of a reset. */
  private Thread endsWhenItIsAsked(ServerSocketChannel server, String... lines) {
    return Thread.ofPlatform()
        .start(
            () -> {
              try (SocketChannel client = server.accept()) {
                client.read(ByteBuffer.allocate(1));
                if (lines.length > 0) {
                  module("sdb", lines);
                }
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
  }

  @Test
  void oneThatEndsWhileItIsAskedIsNoneThatIsStrange() throws Exception {
    Thread ends = endsWhenItIsAsked(listen(UUID));
    assertThat(DaemonAnswer.ask(socket(UUID), 10_000)).isInstanceOf(DaemonAnswer.Nobody.class);
    ends.join();
  }

  @Test
  void oneThatEndsWhileItIsAskedIsNotSaidToRun() throws Exception {
    healthy();
    again();
    Thread ends = endsWhenItIsAsked(listen(UUID));
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString()).contains("it has no control socket, or has ended just now");
    ends.join();
    again();
    // What the module says is read anew once nobody has answered.
    String[] dead = {"state attached", "frozen 1", "clustered 1", "lease_ms 1", "daemon_port 0"};
    ends = endsWhenItIsAsked(listen(UUID), dead);
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString())
        .contains("state: FROZEN: no daemon answers, this node is the owner\n")
        .contains("The daemon of this volume does not run");
    ends.join();
  }

  /** What it is asked with cannot be had. */
  static final class WithoutDescriptors {
    private WithoutDescriptors() {}

    public static void main(String[] words) throws IOException {
      Path socket = Path.of(words[0]);
      // To load a class takes a descriptor, too.
      System.out.println(DaemonAnswer.ask(socket, 20_000).getClass().getSimpleName());
      System.out.println(DaemonAnswer.failed(new IOException("planted")));
      List<InputStream> all = new ArrayList<>();
      try {
        while (true) {
          all.add(new FileInputStream("/dev/null"));
        }
      } catch (IOException e) {
        System.out.println(DaemonAnswer.ask(socket, 20_000).getClass().getSimpleName());
      }
      System.out.println(all.size() > 10 ? "none was left" : "too few");
    }
  }

  @Test
  void whatKeepsThisProgramFromAskingIsNotTheDaemons() throws Exception {
    daemon(UUID, owner(PEER2));
    Process process =
        new ProcessBuilder(
                "sh",
                "-c",
                "ulimit -n 100 && exec \"$@\"",
                "sh",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-MaxFDLimit",
                "-cp",
                System.getProperty("java.class.path"),
                WithoutDescriptors.class.getName(),
                socket(UUID).toString())
            .redirectErrorStream(true)
            .start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(said).isEqualTo("Said\nFailed[why=planted]\nFailed\nnone was left\n");
    assertThat(process.waitFor()).isZero();
  }

  @Test
  void whatKeepsThisProgramFromAskingIsSaid() throws IOException {
    healthy();
    again();
    Files.delete(root.resolve("run/mxfs"));
    write("run/mxfs", "no directory");
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString())
        .contains("state: unknown: the daemon could not be asked, this node is the owner\n")
        .contains("The daemon of this volume could not be asked: ")
        .doesNotContain("The daemon runs");
    assertThat(run("nodes")).isEqualTo(1);
    assertThat(out.toString()).contains("  the daemon could not be asked: see mxfsctl status\n");
    assertThat(run("status", "--json")).isEqualTo(1);
    assertThat(out.toString()).contains("\"answer\":\"failed\"");
  }

  /** Each costs all of the wait. */
  @Test
  void allDaemonsAreAskedSideBySide() throws IOException {
    for (int i = 0; i < 8; i++) {
      listen(UUID.replace("0d9f", "000" + i));
    }
    CommandLine line = Main.commandLine(new Volumes(root, 2_000));
    line.setOut(new PrintWriter(out));
    long began = System.nanoTime();
    assertThat(line.execute("status")).isZero();
    assertThat(System.nanoTime() - began).isBetween(1_990_000_000L, 12_000_000_000L);
  }

  @Test
  void whatNeitherDaemonNorKernelTellsIsNotKnown() throws IOException {
    mount("8:16", "/mnt/shared", "/dev/sdb");
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString())
        .contains("whether one runs is not known")
        .contains("Run mxfsctl as root, if you did not.")
        .doesNotContain("the mount is frozen");
  }

  @Test
  void theDaemonThatIsToBeEndedIsThisOne() throws IOException {
    healthy();
    again();
    listen(UUID);
    assertThat(run("status")).isEqualTo(1);
    Matcher advice = Pattern.compile("(pkill -9 -f -- '(.*)'):").matcher(out.toString());
    assertThat(advice.find()).as(out.toString()).isTrue();
    Pattern ended = Pattern.compile(advice.group(2));
    String java = "/usr/lib/mxfs/bin/java @/usr/lib/mxfs/options -m org.mxfs.daemon ";
    assertThat(java + "--device /dev/sdb --uuid 0d9f6e2c111122223333444455556666")
        .containsPattern(ended);
    assertThat(java + "--device /dev/sdc --uuid 1d9f6e2c111122223333444455556666")
        .doesNotContainPattern(ended);
    // pkill spares itself, and not who has started it: they have the pattern among their arguments.
    for (String caller : List.of("sudo ", "sh -c ", "ssh n1 ")) {
      assertThat(caller + advice.group(1)).doesNotContainPattern(ended);
      assertThat(caller + advice.group(1).replace("'", "")).doesNotContainPattern(ended);
    }
  }

  /** Neither debugfs nor udev tells which volume it is: there is one, and one daemon. */
  @Test
  void aDaemonThatDoesNotSayWhoseItIsMayBeOfTheOneVolumeThatIsLeft() throws IOException {
    mount("8:16", "/mnt/shared", "/dev/sdb");
    listen(UUID);
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString())
        .contains("volume: unknown UUID\n")
        .contains("The daemon of this volume does not answer")
        .contains("kill -9 (pgrep -af mxfs/bin/java lists the daemons");
    again();
    daemon(UUID, "{\"schema\":2}");
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString()).contains("it speaks schema 2, this mxfsctl knows 1");
    // Which of two?
    mount("8:32", "/mnt/other", "/dev/sdc");
    assertThat(run("status")).isEqualTo(1);
    assertThat(out.toString()).doesNotContain("schema 2").contains("is not known");
  }

  @Test
  void permissionsOfASocketAreThoseOfRoot() throws IOException {
    healthy();
    Files.setPosixFilePermissions(socket(UUID), PosixFilePermissions.fromString("---------"));
    asRootAlone(Files.isWritable(socket(UUID)));
  }

  @Test
  void permissionsOfTheFolderOfSocketsAreThoseOfRoot() throws IOException {
    healthy();
    Path folder = root.resolve("run/mxfs");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("---------"));
    try {
      asRootAlone(Files.isReadable(folder));
    } finally {
      Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
    }
  }

  /** Root may whatever the bits say; anybody else is told. */
  private void asRootAlone(boolean isRoot) {
    int status = run("status");
    if (isRoot) {
      assertThat(status).isZero();
      return;
    }
    assertThat(status).isEqualTo(4);
    assertThat(out.toString())
        .contains("Run mxfsctl as root")
        .contains("state: unknown: not asked: run as root, this node is the owner\n")
        .doesNotContain("no daemon answers");
    assertThat(run("nodes")).isEqualTo(4);
    assertThat(out.toString()).contains("  not asked: run as root\n");
  }
}
