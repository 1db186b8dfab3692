// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.daemon.core.ReservationKey;

/** On real sockets. */
@Timeout(60)
class ControlSocketTest {
  private static final Report REPORT =
      new Report(
          new Report.Mount(
              "1.2", 2, 77, false, "u", "/dev/x", 8, 0, false, 1, "h", 7600, 20_000, null),
          5,
          null,
          List.of(),
          List.of());

  @TempDir Path directory;

  /** What is passed on. */
  private static final class Cleared {
    final List<ReservationKey> keys = new ArrayList<>();
    volatile @Nullable String refusal;

    @Nullable String clear(ReservationKey key) {
      keys.add(key);
      return refusal;
    }
  }

  private final Cleared cleared = new Cleared();
  private final List<SocketChannel> clients = new ArrayList<>();
  private final List<ControlSocket> sockets = new ArrayList<>();

  @AfterEach
  void end() throws IOException {
    for (SocketChannel each : clients) {
      each.close();
    }
    sockets.forEach(ControlSocket::close);
  }

  private Path path() {
    return ControlSocket.path(directory, "volume");
  }

  private ControlSocket begin(Supplier<Report> status) throws InterruptedException {
    ControlSocket socket = new ControlSocket(path(), status, cleared::clear);
    sockets.add(socket);
    socket.start();
    socket.open();
    assertThat(socket.appears(30)).isTrue();
    return socket;
  }

  private SocketChannel connect() throws IOException {
    SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(path()));
    clients.add(channel);
    return channel;
  }

  private static void say(SocketChannel channel, String text) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /** All that comes until the other side closes. */
  private static String rest(SocketChannel channel) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(1 << 20);
    while (channel.read(bytes) >= 0) {
      assertThat(bytes.hasRemaining()).isTrue();
    }
    return new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8);
  }

  private String ask(String text) throws IOException {
    SocketChannel channel = connect();
    say(channel, text);
    return rest(channel);
  }

  @Test
  void statusIsAnsweredInOneLine() throws Exception {
    begin(() -> REPORT);
    assertThat(ask("status\n")).isEqualTo(REPORT.json() + "\n");
    assertThat(ask("status\n")).isEqualTo(REPORT.json() + "\n");
  }

  @Test
  void onlyItsOwnerMayConnectFromTheMomentItHasItsName() throws Exception {
    begin(() -> REPORT);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path())))
        .isEqualTo("rw-------");
    try (var names = Files.list(directory)) {
      assertThat(names.toList()).containsExactly(path());
    }
  }

  @Test
  void garbageIsRefusedInWords() throws Exception {
    begin(() -> REPORT);
    assertThat(ask("nonsense\n")).contains("\"schema\":1").contains("unknown request");
    assertThat(ask("\n")).contains("unknown request");
    assertThat(ask("\u0000\u00ff\u0001\n")).contains("unknown request");
    assertThat(ask("status\n")).contains("\"pid\":77");
  }

  @Test
  void aFenceIsClearedForOneKeyThatIsNamedWhole() throws Exception {
    begin(() -> REPORT);
    assertThat(ask("fence-clear 0x0000001000000007\n"))
        .isEqualTo("{\"schema\":1,\"refused\":null}\n");
    assertThat(cleared.keys).containsExactly(ReservationKey.of(0x10, 7));
    cleared.refusal = "not the holder";
    assertThat(ask("fence-clear 0xffffffffffffffff\n"))
        .isEqualTo("{\"schema\":1,\"refused\":\"not the holder\"}\n");
    assertThat(cleared.keys).hasSize(2);
    for (String wrong :
        List.of(
            "fence-clear",
            "fence-clear ",
            "fence-clear all",
            "fence-clear 0x10",
            "fence-clear 0x0000001000000007 0x0000001000000008",
            "fence-clear 0000001000000007",
            "Fence-clear 0x0000001000000007")) {
      assertThat(ask(wrong + "\n")).as(wrong).contains("unknown request");
    }
    assertThat(cleared.keys).hasSize(2);
  }

  @Test
  void aRequestThatIsTooLongIsRefused() throws Exception {
    begin(() -> REPORT);
    assertThat(ask("x".repeat(ControlSocket.REQUEST_MAX))).contains("a request of more than");
    assertThat(ask("status\n")).contains("\"pid\":77");
  }

  @Test
  void whoSaysNothingIsCutOffAndKeepsNobodyWaitingMeanwhile() throws Exception {
    begin(() -> REPORT);
    SocketChannel silent = connect();
    SocketChannel halfway = connect();
    say(halfway, "stat");
    long began = System.nanoTime();
    assertThat(ask("status\n")).contains("\"pid\":77");
    assertThat(System.nanoTime() - began).isLessThan(ControlSocket.DEADLINE_NANOS);
    assertThat(rest(silent)).isEmpty();
    assertThat(rest(halfway)).isEmpty();
    assertThat(System.nanoTime() - began)
        .isGreaterThan(ControlSocket.DEADLINE_NANOS / 2)
        .isLessThan(10 * ControlSocket.DEADLINE_NANOS);
  }

  @Test
  void whoDoesNotReadItsAnswerIsCutOff() throws Exception {
    List<Report.Trouble> much = new ArrayList<>();
    for (int i = 0; i < 1_000; i++) {
      much.add(new Report.Trouble("WARN", i, "x".repeat(1_000)));
    }
    Report large = new Report(REPORT.mount(), 5, null, List.of(), much);
    begin(() -> large);
    SocketChannel deaf = connect();
    say(deaf, "status\n");
    String whole = ask("status\n");
    assertThat(whole).hasSize(large.json().length() + 1);
    // Nobody reads what it writes either, so this stands still until the connection is cut.
    assertThatThrownBy(
            () -> {
              while (true) {
                say(deaf, "x".repeat(4_096));
              }
            })
        .isInstanceOf(IOException.class);
    assertThat(ask("status\n")).isEqualTo(whole);
  }

  @Test
  void noMoreThanSoManyAreConnectedAndTheOthersComeInTurn() throws Exception {
    begin(() -> REPORT);
    List<SocketChannel> silent = new ArrayList<>();
    for (int i = 0; i < ControlSocket.CONNECTIONS_MAX; i++) {
      silent.add(connect());
    }
    SocketChannel next = connect();
    say(next, "status\n");
    // There is no place for it before one of the silent ones has gone.
    long began = System.nanoTime();
    next.configureBlocking(false);
    try (Selector selector = Selector.open()) {
      SelectionKey key = next.register(selector, SelectionKey.OP_READ);
      assertThat(selector.select(300)).as("answered beside so many").isZero();
      key.cancel();
      selector.selectNow();
    }
    next.configureBlocking(true);
    silent.getFirst().close();
    assertThat(rest(next)).contains("\"pid\":77");
    assertThat(System.nanoTime() - began).isLessThan(ControlSocket.DEADLINE_NANOS);
    for (int i = 0; i < 5 * ControlSocket.CONNECTIONS_MAX; i++) {
      assertThat(ask("status\n")).contains("\"pid\":77");
    }
  }

  @Test
  void whoGoesAwayInTheMidstHarmsNobody() throws Exception {
    begin(() -> REPORT);
    for (int i = 0; i < 50; i++) {
      SocketChannel channel = connect();
      say(channel, i % 2 == 0 ? "status\n" : "sta");
      channel.close();
    }
    assertThat(ask("status\n")).contains("\"pid\":77");
  }

  @Test
  void theSocketOfADeadDaemonIsReplaced() throws Exception {
    // Closing a listening socket leaves its name behind, as the end of a process does.
    try (ServerSocketChannel dead = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      dead.bind(UnixDomainSocketAddress.of(path()));
    }
    assertThat(path()).exists();
    assertThatThrownBy(this::connect).isInstanceOf(IOException.class);
    Files.writeString(path().resolveSibling("volume.control.new"), "left in the middle");
    begin(() -> REPORT);
    assertThat(ask("status\n")).contains("\"pid\":77");
  }

  @Test
  void closingTakesItAwayAtOnce() throws Exception {
    ControlSocket socket = begin(() -> REPORT);
    socket.close();
    assertThat(path()).doesNotExist();
    socket.close();
  }

  @Test
  void oneThatIsClosedBeforeItsTimeNeverAppears() throws Exception {
    ControlSocket socket = new ControlSocket(path(), () -> REPORT, cleared::clear);
    socket.start();
    socket.close();
    socket.join();
    try (var names = Files.list(directory)) {
      assertThat(names.toList()).isEmpty();
    }
  }

  @Test
  void aMistakeInTheAnswerEndsNeitherTheSocketNorTheDaemon() throws Exception {
    AtomicBoolean planted = new AtomicBoolean();
    begin(
        () -> {
          if (planted.getAndSet(false)) {
            throw new IllegalStateException("planted");
          }
          return REPORT;
        });
    assertThat(ask("status\n")).contains("\"pid\":77");
    planted.set(true);
    assertThat(ask("status\n")).contains("\"error\":\"mistake in mxfsd: ").contains("planted");
    assertThat(ask("status\n")).contains("\"pid\":77");
  }

  @Test
  void aPlaceThatCannotBeHadHarmsNobody() throws Exception {
    Path file = directory.resolve("file");
    Files.writeString(file, "");
    ControlSocket socket =
        new ControlSocket(
            ControlSocket.path(file.resolve("no"), "volume"), () -> REPORT, cleared::clear);
    socket.start();
    socket.open();
    socket.join();
    socket.close();
  }
}
