// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Genetlink;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Netlink;
import org.mxfs.bindings.linux.Sockets;
import org.mxfs.bindings.linux.genlmsghdr;
import org.mxfs.bindings.linux.iovec;
import org.mxfs.bindings.linux.msghdr;
import org.mxfs.bindings.linux.nlmsghdr;
import org.mxfs.bindings.linux.sockaddr_nl;

/** Against the running kernel's own families. */
@Timeout(60)
class GenericNetlinkTest {
  // linux/taskstats.h
  private static final int TASKSTATS_CMD_GET = 1;
  private static final int TASKSTATS_CMD_NEW = 2;
  private static final int TASKSTATS_CMD_ATTR_REGISTER_CPUMASK = 3;
  private static final int TASKSTATS_TYPE_PID = 1;
  private static final int TASKSTATS_TYPE_AGGR_PID = 4;
  private static final int TASKSTATS_TYPE_AGGR_TGID = 5;

  /** Collects what comes unasked. */
  private static final class Events implements Listener {
    final BlockingQueue<Message> messages = new LinkedBlockingQueue<>();
    final BlockingQueue<String> troubles = new LinkedBlockingQueue<>();

    @Override
    public void message(Message message) {
      messages.add(message);
    }

    @Override
    public void gap() {
      troubles.add("gap");
    }

    @Override
    public void malformed(MalformedMessageException e) {
      troubles.add("malformed: " + e.getMessage());
    }

    @Override
    public void failed(IOException e) {
      troubles.add("failed: " + e.getMessage());
    }
  }

  private static Attributes byName(String name) {
    return Attributes.builder().string(Genetlink.CTRL_ATTR_FAMILY_NAME, name).build();
  }

  @Test
  void theControllerFindsItself() throws Exception {
    try (GenericNetlink nl = GenericNetlink.open()) {
      Family ctrl = nl.family("nlctrl");
      assertThat(ctrl.id()).isEqualTo(Genetlink.GENL_ID_CTRL);
      assertThat(ctrl.groups()).containsKey("notify");
      assertThat(nl.port()).isNotZero();
    }
  }

  @Test
  void aDumpListsEveryFamilyAsALookUpFindsIt() throws Exception {
    try (GenericNetlink nl = GenericNetlink.open()) {
      List<Family> all = nl.families();
      assertThat(all).extracting(Family::name).contains("nlctrl").doesNotHaveDuplicates();
      for (Family f : all) {
        assertThat(nl.family(f.name())).isEqualTo(f);
      }
    }
  }

  @Test
  void anUnknownFamilyIsNamedInTheError() throws Exception {
    try (GenericNetlink nl = GenericNetlink.open()) {
      assertThatExceptionOfType(NetlinkErrorException.class)
          .isThrownBy(() -> nl.family("no-such-family"))
          .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.ENOENT))
          .withMessageContaining("'no-such-family'");
      assertThat(nl.findFamily("no-such-family")).isEmpty();
      assertThat(nl.findFamily("nlctrl")).isPresent();
      assertThatIllegalArgumentException().isThrownBy(() -> nl.family("a-name-that-is-too-long"));
    }
  }

  @Test
  void theKernelsRefusalsArriveWithItsWords() throws Exception {
    try (GenericNetlink nl = GenericNetlink.open()) {
      assertThatExceptionOfType(NetlinkErrorException.class)
          .isThrownBy(() -> nl.request(Family.CONTROLLER, 200, Attributes.EMPTY))
          .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.EOPNOTSUPP));
      // A family number has two bytes; the kernel's policy check says what is wrong with one.
      Attributes wrong = Attributes.builder().u8(Genetlink.CTRL_ATTR_FAMILY_ID, 1).build();
      assertThatExceptionOfType(NetlinkErrorException.class)
          .isThrownBy(() -> nl.request(Family.CONTROLLER, Genetlink.CTRL_CMD_GETFAMILY, wrong))
          .satisfies(
              e -> {
                assertThat(e.errno()).isIn(Errnos.ERANGE, Errnos.EINVAL);
                assertThat(e.kernelMessage()).isPresent();
                assertThat(e.badAttributeOffset()).hasValue(20);
              });
    }
  }

  @Test
  void manyThreadsGetEachTheirOwnAnswers() throws Exception {
    try (GenericNetlink nl = GenericNetlink.open()) {
      List<Family> all = nl.families();
      AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
      List<Thread> threads = new ArrayList<>();
      for (int t = 0; t < 6; t++) {
        int me = t;
        threads.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      try {
                        for (int i = 0; i < 200; i++) {
                          Family want = all.get((me + i) % all.size());
                          if (i % 50 == 0) {
                            assertThat(nl.families()).isEqualTo(all);
                          } else if (i % 7 == 0) {
                            assertThat(nl.findFamily("none-" + me)).isEmpty();
                          } else {
                            assertThat(nl.family(want.name())).isEqualTo(want);
                          }
                        }
                      } catch (Throwable e) {
                        failure.set(e);
                      }
                    }));
      }
      for (Thread t : threads) {
        t.join();
      }
      assertThat(failure.get()).isNull();
      assertThat(nl.staleAnswers()).isZero();
    }
  }

  @Test
  void messagesFromOtherProcessesPortsAreDropped() throws Exception {
    Events events = new Events();
    try (GenericNetlink nl = GenericNetlink.open(GenericNetlink.Options.DEFAULT, events);
        Arena arena = Arena.ofConfined()) {
      int fd =
          Linux.socket(
              Sockets.AF_NETLINK, Sockets.SOCK_RAW | Sockets.SOCK_CLOEXEC, Netlink.NETLINK_GENERIC);
      Errno.check(fd, "socket", "AF_NETLINK");
      try {
        long sent =
            sendTo(
                arena,
                fd,
                nl.port(),
                Wire.request(Family.CONTROLLER, 1, 0, 0, 0, Attributes.EMPTY));
        if (sent == -Errnos.EPERM) {
          return; // the kernel itself keeps processes without CAP_NET_ADMIN from doing that
        }
        assertThat(sent).isPositive();
        // Answered after the forged message was queued, so that one was seen before this returns.
        assertThat(nl.family("nlctrl").name()).isEqualTo("nlctrl");
        assertThat(nl.foreignMessages()).isEqualTo(1);
        // Exit events may come still: the kernel remembers by port who asked for them, and ports
        // are used again.
        assertThat(events.messages).noneMatch(m -> m.family() == Family.CONTROLLER.id());
      } finally {
        Linux.close(fd);
      }
    }
  }

  private static long sendTo(Arena arena, int fd, int port, byte[] message) {
    MemorySegment address = arena.allocate(sockaddr_nl.SIZE, sockaddr_nl.ALIGN);
    sockaddr_nl.nl_family(address, 0, Sockets.AF_NETLINK);
    sockaddr_nl.nl_pid(address, 0, port);
    MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_BYTE, message);
    MemorySegment part = arena.allocate(iovec.SIZE, iovec.ALIGN);
    iovec.iov_base(part, 0, data.address());
    iovec.iov_len(part, 0, data.byteSize());
    MemorySegment header = arena.allocate(msghdr.SIZE, msghdr.ALIGN);
    msghdr.msg_name(header, 0, address.address());
    msghdr.msg_namelen(header, 0, sockaddr_nl.SIZE);
    msghdr.msg_iov(header, 0, part.address());
    msghdr.msg_iovlen(header, 0, 1);
    return Linux.sendmsg(fd, header, 0);
  }

  @Test
  void groupsAreJoinedAndLeftByName() throws Exception {
    try (GenericNetlink nl = GenericNetlink.open()) {
      Family ctrl = nl.family("nlctrl");
      nl.join(ctrl, "notify");
      nl.leave(ctrl, "notify");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> nl.join(ctrl, "nonsense"))
          .withMessageContaining("notify");
    }
  }

  /**
   * Makes the kernel send an event to this port whenever a process ends, as linux/taskstats.h
   * describes; false where the process is not allowed to ask for that.
   */
  private static boolean watchExits(GenericNetlink nl) throws IOException {
    Family taskstats = nl.family("TASKSTATS");
    String processors = Files.readString(Path.of("/sys/devices/system/cpu/possible")).strip();
    try {
      nl.request(
          taskstats,
          TASKSTATS_CMD_GET,
          Attributes.builder().string(TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, processors).build());
      return true;
    } catch (NetlinkErrorException e) {
      assertThat(e.errno()).isEqualTo(Errnos.EPERM);
      assertThat(e).hasMessageContaining("CAP_NET_ADMIN");
      return false;
    }
  }

  private static long endAProcess() throws IOException, InterruptedException {
    Process p = new ProcessBuilder("true").start();
    assertThat(p.waitFor()).isZero();
    return p.pid();
  }

  @Test
  void whatTheKernelSendsUnaskedGoesToTheListener() throws Exception {
    Events events = new Events();
    try (GenericNetlink nl = GenericNetlink.open(GenericNetlink.Options.DEFAULT, events)) {
      if (!watchExits(nl)) {
        return; // then the refusal was checked
      }
      long pid = endAProcess();
      while (true) {
        Message m = events.messages.poll(20, TimeUnit.SECONDS);
        assertThat(m).as("an event about process %d", pid).isNotNull();
        assertThat(m.command()).isEqualTo(TASKSTATS_CMD_NEW);
        assertThat(m.port()).isZero();
        Attributes task =
            m.attributes()
                .nested(
                    m.attributes().has(TASKSTATS_TYPE_AGGR_PID)
                        ? TASKSTATS_TYPE_AGGR_PID
                        : TASKSTATS_TYPE_AGGR_TGID);
        if (task.has(TASKSTATS_TYPE_PID) && task.u32(TASKSTATS_TYPE_PID) == pid) {
          break;
        }
      }
      assertThat(events.troubles).isEmpty();
    }
  }

  /**
   * kernel/taskstats.c keeps who asked by port, and forgets it only when that port does not exist
   * at the next event; the first free port of a process is its id (netlink_autobind()).
   */
  @Test
  void endsAreToldToALaterSocketOnThePort() throws Exception {
    int port;
    try (GenericNetlink earlier = GenericNetlink.open()) {
      if (!watchExits(earlier)) {
        return; // then the refusal was checked
      }
      port = earlier.port();
    }
    Events events = new Events();
    try (GenericNetlink later = GenericNetlink.open(GenericNetlink.Options.DEFAULT, events)) {
      assertThat(later.port()).isEqualTo(port);
      endAProcess();
      Message m = events.messages.poll(20, TimeUnit.SECONDS);
      assertThat(m).as("an event nobody asked for here").isNotNull();
      assertThat(m.command()).isEqualTo(TASKSTATS_CMD_NEW);
      assertThat(m.port()).isZero();
      assertThat(later.family("nlctrl").name()).isEqualTo("nlctrl");
      assertThat(events.troubles).isEmpty();
    }
  }

  @Test
  void anOverrunIsReportedAsAGapAndTheSocketGoesOn() throws Exception {
    AtomicBoolean hold = new AtomicBoolean();
    CountDownLatch held = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    CountDownLatch gap = new CountDownLatch(1);
    Listener slow =
        new Listener() {
          @Override
          public void message(Message message) {
            if (!hold.get()) {
              return; // the answer to the registration must get through first
            }
            held.countDown();
            try {
              goOn.await();
            } catch (InterruptedException e) {
              throw new IllegalStateException(e);
            }
          }

          @Override
          public void gap() {
            gap.countDown();
          }

          @Override
          public void malformed(MalformedMessageException e) {}

          @Override
          public void failed(IOException e) {}
        };
    GenericNetlink.Options small = new GenericNetlink.Options(4096, 8192, Duration.ofSeconds(10));
    try (GenericNetlink nl = GenericNetlink.open(small, slow)) {
      if (!watchExits(nl)) {
        return; // then the refusal was checked
      }
      AtomicReference<@Nullable Throwable> outcome = new AtomicReference<>();
      Thread asking;
      hold.set(true);
      try {
        endAProcess();
        assertThat(held.await(20, TimeUnit.SECONDS)).isTrue();
        // With the reader held up, answers that nobody takes fill the socket's buffer until the
        // kernel drops one.
        for (int i = 0; i < 200; i++) {
          nl.send(Family.CONTROLLER, Genetlink.CTRL_CMD_GETFAMILY, byName("nlctrl"));
        }
        asking =
            Thread.ofPlatform()
                .start(
                    () -> {
                      try {
                        nl.family("nlctrl");
                      } catch (IOException e) {
                        outcome.set(e);
                      }
                    });
        while (asking.getState() != Thread.State.TIMED_WAITING && asking.isAlive()) {
          Thread.onSpinWait();
        }
      } finally {
        goOn.countDown();
      }
      assertThat(gap.await(20, TimeUnit.SECONDS)).isTrue();
      asking.join();
      assertThat(outcome.get())
          .as("a request under way")
          .isInstanceOf(OutcomeUnknownException.class);
      assertThat(nl.family("nlctrl").name()).isEqualTo("nlctrl");
      assertThat(nl.staleAnswers()).isPositive();
    }
  }

  @Test
  void closingWhileTheReaderWaitsEndsItAtOnce() throws Exception {
    for (int i = 0; i < 20; i++) {
      GenericNetlink nl = GenericNetlink.open();
      nl.close();
      nl.close();
      assertThatExceptionOfType(IOException.class)
          .isThrownBy(() -> nl.family("nlctrl"))
          .withMessageContaining("closed");
      assertThatExceptionOfType(IOException.class)
          .isThrownBy(
              () -> nl.send(Family.CONTROLLER, Genetlink.CTRL_CMD_GETFAMILY, Attributes.EMPTY))
          .withMessageContaining("closed");
    }
  }

  @Test
  void closingWhileOthersAskFailsThemAndNothingElse() throws Exception {
    for (int round = 0; round < 10; round++) {
      GenericNetlink nl = GenericNetlink.open();
      AtomicReference<@Nullable Throwable> unexpected = new AtomicReference<>();
      CountDownLatch running = new CountDownLatch(3);
      List<Thread> threads = new ArrayList<>();
      for (int t = 0; t < 3; t++) {
        threads.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      try {
                        nl.family("nlctrl");
                        running.countDown();
                        while (true) {
                          nl.family("nlctrl");
                        }
                      } catch (IOException e) {
                        // what closing promises
                      } catch (Throwable e) {
                        unexpected.set(e);
                      }
                    }));
      }
      assertThat(running.await(30, TimeUnit.SECONDS)).isTrue();
      nl.close();
      for (Thread t : threads) {
        t.join();
      }
      assertThat(unexpected.get()).isNull();
    }
  }

  @Test
  void aListenerThatWaitsForAnAnswerIsRefused() throws Exception {
    CompletableFuture<GenericNetlink> socket = new CompletableFuture<>();
    BlockingQueue<String> refusals = new LinkedBlockingQueue<>();
    Listener impatient =
        new Listener() {
          @Override
          public void message(Message message) {
            GenericNetlink nl = socket.join();
            assertThatIllegalStateException().isThrownBy(() -> nl.family("nlctrl"));
            assertThatIllegalStateException().isThrownBy(nl::close);
            refusals.add("both");
          }

          @Override
          public void gap() {}

          @Override
          public void malformed(MalformedMessageException e) {}

          @Override
          public void failed(IOException e) {
            refusals.add("failed " + e);
          }
        };
    try (GenericNetlink nl = GenericNetlink.open(GenericNetlink.Options.DEFAULT, impatient)) {
      socket.complete(nl);
      if (watchExits(nl)) {
        endAProcess();
        assertThat(refusals.poll(20, TimeUnit.SECONDS)).isEqualTo("both");
      }
      assertThat(nl.family("nlctrl")).isNotNull();
    }
  }

  @Test
  void aListenerThatThrowsEndsTheSocketInsteadOfLosingMessages() throws Exception {
    AtomicBoolean armed = new AtomicBoolean();
    CountDownLatch failed = new CountDownLatch(1);
    Listener broken =
        new Listener() {
          @Override
          public void message(Message message) {
            if (armed.get()) {
              throw new IllegalStateException("a bug");
            }
          }

          @Override
          public void gap() {}

          @Override
          public void malformed(MalformedMessageException e) {}

          @Override
          public void failed(IOException e) {
            failed.countDown();
          }
        };
    try (GenericNetlink nl = GenericNetlink.open(GenericNetlink.Options.DEFAULT, broken)) {
      if (watchExits(nl)) {
        armed.set(true);
        endAProcess();
        assertThat(failed.await(20, TimeUnit.SECONDS)).isTrue();
        assertThatExceptionOfType(IOException.class)
            .isThrownBy(() -> nl.family("nlctrl"))
            .withMessageContaining("a bug");
      }
    }
  }

  @Test
  void aPortIsTheSocketsOwnAndTheKernelKnowsIt() throws Exception {
    try (GenericNetlink one = GenericNetlink.open();
        GenericNetlink two = GenericNetlink.open()) {
      assertThat(one.port()).isNotEqualTo(two.port());
      // Columns: sk Eth Pid Groups …; Eth is the protocol, 16 for NETLINK_GENERIC.
      List<String> ports =
          Files.readAllLines(Path.of("/proc/net/netlink")).stream()
              .map(line -> line.strip().split("\\s+"))
              .filter(column -> column[1].equals("16"))
              .map(column -> column[2])
              .toList();
      assertThat(ports)
          .contains(Integer.toUnsignedString(one.port()), Integer.toUnsignedString(two.port()));
      assertThat(one.requestOne(Family.CONTROLLER, Genetlink.CTRL_CMD_GETFAMILY, byName("nlctrl")))
          .as("an answer carries the port of who asked")
          .extracting(Message::port)
          .isEqualTo(one.port());
    }
  }

  @Test
  void eventsStillArriveWhenTheReaderRestsBecauseOfManyRequests() throws Exception {
    Events events = new Events();
    try (GenericNetlink nl = GenericNetlink.open(GenericNetlink.Options.DEFAULT, events)) {
      if (!watchExits(nl)) {
        return; // then the refusal was checked
      }
      for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 2_000; i++) {
          nl.family("nlctrl");
        }
        events.messages.clear();
        endAProcess();
        assertThat(events.messages.poll(20, TimeUnit.SECONDS)).isNotNull();
      }
      assertThat(events.troubles).isEmpty();
    }
  }

  // ---- what the kernel does rarely or never, done to what it really sent ----

  /** Passes on what the kernel answered, changed. */
  private abstract static class DamagingSocket extends NetlinkSocket {
    DamagingSocket() throws IOException {
      super(QUICK);
    }

    abstract void damage(byte[] data, ByteBuffer view);

    /**
     * An event is not damaged. An exit event may come before the first answer, though nobody asked
     * for it on this socket ({@link #endsAreToldToALaterSocketOnThePort}), and it has a sequence
     * number (kernel/taskstats.c: prepare_reply() counts them for each processor) but no port.
     */
    @Override
    byte[] datagram() {
      byte[] data = super.datagram();
      ByteBuffer view = ByteBuffer.wrap(data).order(ByteOrder.nativeOrder());
      if (view.getInt(nlmsghdr.OFFSET_nlmsg_pid) == port()) {
        damage(data, view);
      }
      return data;
    }
  }

  private static final GenericNetlink.Options QUICK =
      new GenericNetlink.Options(1 << 20, 128 << 10, Duration.ofMillis(300));

  /** Marks the first dumps as inconsistent, as the kernel does when things change under way. */
  private static final class InterruptingSocket extends DamagingSocket {
    private final int interruptions;
    int dumps;

    InterruptingSocket(int interruptions) throws IOException {
      this.interruptions = interruptions;
    }

    @Override
    void damage(byte[] data, ByteBuffer view) {
      int flags = view.getShort(nlmsghdr.OFFSET_nlmsg_flags);
      if ((flags & Netlink.NLM_F_MULTI) != 0 && dumps < interruptions) {
        int interrupted = flags | Netlink.NLM_F_DUMP_INTR;
        view.putShort(nlmsghdr.OFFSET_nlmsg_flags, (short) interrupted);
      }
      try {
        // The end of a dump may be in one datagram with its last part.
        for (Wire.Frame frame : Wire.frames(data)) {
          dumps += frame.type() == Netlink.NLMSG_DONE ? 1 : 0;
        }
      } catch (MalformedMessageException e) {
        throw new IllegalStateException("the kernel sent what cannot be read", e);
      }
    }
  }

  @Test
  void anInterruptedDumpIsAskedForAgain() throws Exception {
    InterruptingSocket socket = new InterruptingSocket(2);
    try (GenericNetlink nl = GenericNetlink.open(socket, QUICK, new Events());
        GenericNetlink plain = GenericNetlink.open()) {
      assertThat(nl.families()).isEqualTo(plain.families());
      assertThat(socket.dumps).isEqualTo(3);
    }
  }

  @Test
  void aDumpThatIsInterruptedEveryTimeFailsAfterFive() throws Exception {
    InterruptingSocket socket = new InterruptingSocket(Integer.MAX_VALUE);
    try (GenericNetlink nl = GenericNetlink.open(socket, QUICK, new Events())) {
      assertThatExceptionOfType(NetlinkErrorException.class)
          .isThrownBy(nl::families)
          .withMessageContaining("5 attempts")
          .satisfies(e -> assertThat(e.errnoName()).isEqualTo("EINTR"));
      assertThat(socket.dumps).isEqualTo(5);
      assertThat(nl.family("nlctrl").name()).isEqualTo("nlctrl");
    }
  }

  @Test
  void aMalformedAnswerFailsItsRequestOnly() throws Exception {
    AtomicBoolean damage = new AtomicBoolean(true);
    Events events = new Events();
    NetlinkSocket socket =
        new DamagingSocket() {
          @Override
          void damage(byte[] data, ByteBuffer view) {
            if (damage.getAndSet(false)) {
              // The length of the first attribute.
              view.putShort(nlmsghdr.SIZE + genlmsghdr.SIZE, (short) 3);
            }
          }
        };
    try (GenericNetlink nl = GenericNetlink.open(socket, QUICK, events)) {
      assertThatExceptionOfType(MalformedMessageException.class)
          .isThrownBy(() -> nl.family("nlctrl"))
          .withMessageContaining("claims 3 bytes");
      assertThat(nl.family("nlctrl").name()).isEqualTo("nlctrl");
      assertThat(events.troubles).isEmpty();
    }
  }

  @Test
  void aDatagramWithoutAReadableHeaderIsToldAndFailsWhatIsUnderWay() throws Exception {
    AtomicBoolean damage = new AtomicBoolean(true);
    Events events = new Events();
    try (GenericNetlink earlier = GenericNetlink.open()) {
      watchExits(earlier);
    }
    NetlinkSocket socket =
        new DamagingSocket() {
          @Override
          void damage(byte[] data, ByteBuffer view) {
            if (damage.getAndSet(false)) {
              view.putInt(nlmsghdr.OFFSET_nlmsg_len, -1);
            }
          }
        };
    try (GenericNetlink nl = GenericNetlink.open(socket, QUICK, events)) {
      endAProcess(); // so that an event comes before the answer
      assertThatExceptionOfType(OutcomeUnknownException.class)
          .isThrownBy(() -> nl.family("nlctrl"))
          .withMessageContaining("malformed");
      assertThat(events.troubles.poll(20, TimeUnit.SECONDS)).startsWith("malformed: ");
      assertThat(nl.family("nlctrl").name()).isEqualTo("nlctrl");
    }
  }

  @Test
  void anAnswerThatDoesNotComeEndsInOutcomeUnknown() throws Exception {
    AtomicBoolean damage = new AtomicBoolean(true);
    NetlinkSocket socket =
        new DamagingSocket() {
          @Override
          void damage(byte[] data, ByteBuffer view) {
            if (damage.get()) {
              view.putInt(nlmsghdr.OFFSET_nlmsg_seq, 0); // an event now, of no family known
            }
          }
        };
    try (GenericNetlink nl = GenericNetlink.open(socket, QUICK, new Events())) {
      assertThatExceptionOfType(OutcomeUnknownException.class)
          .isThrownBy(() -> nl.family("nlctrl"))
          .withMessageContaining("no answer within 300 ms");
      damage.set(false);
      assertThat(nl.family("nlctrl").name()).isEqualTo("nlctrl");
    }
  }

  @Test
  void aRequestThatIsInterruptedSaysSoAndKeepsTheInterrupt() throws Exception {
    NetlinkSocket socket =
        new DamagingSocket() {
          @Override
          void damage(byte[] data, ByteBuffer view) {
            view.putInt(nlmsghdr.OFFSET_nlmsg_seq, 0);
          }
        };
    try (GenericNetlink nl = GenericNetlink.open(socket, QUICK, new Events())) {
      Thread.currentThread().interrupt();
      assertThatExceptionOfType(OutcomeUnknownException.class)
          .isThrownBy(() -> nl.family("nlctrl"))
          .withMessageContaining("interrupted");
      assertThat(Thread.interrupted()).isTrue();
    }
  }
}
