// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Memory;
import org.mxfs.bindings.linux.Processes;
import org.mxfs.bindings.linux.pollfd;
import org.mxfs.bindings.linux.statx;

/** Real calls into the running kernel. */
@Timeout(60)
class SystemCallTest {
  private static final int O_CREAT_RDWR =
      org.mxfs.bindings.linux.Files.O_CREAT | org.mxfs.bindings.linux.Files.O_RDWR;

  @TempDir Path dir;

  @Test
  void eachShapeReachesTheKernel() throws Exception {
    assertThat(Linux.getpid()).as("integers only").isEqualTo((int) ProcessHandle.current().pid());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment path = arena.allocateFrom(dir.resolve("f").toString());
      int fd =
          Errno.check(
              Linux.openat(org.mxfs.bindings.linux.Files.AT_FDCWD, path, O_CREAT_RDWR, 0600),
              "openat",
              "");
      MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_BYTE, (byte) 1, (byte) 2, (byte) 3);
      assertThat(Linux.pwrite64(fd, data, 3, 5)).as("a buffer").isEqualTo(3);
      MemorySegment back = arena.allocate(16);
      assertThat(Linux.pread64(fd, back, 16, 4)).isEqualTo(4);
      assertThat(back.asSlice(0, 4).toArray(ValueLayout.JAVA_BYTE)).containsExactly(0, 1, 2, 3);
      MemorySegment st = arena.allocate(statx.SIZE, statx.ALIGN);
      assertThat(
              Linux.statx(
                  fd,
                  arena.allocateFrom(""),
                  org.mxfs.bindings.linux.Files.AT_EMPTY_PATH,
                  org.mxfs.bindings.linux.Files.STATX_SIZE,
                  st))
          .as("pointers anywhere")
          .isZero();
      assertThat(statx.stx_size(st, 0)).isEqualTo(8);
      assertThat(Linux.close(fd)).isZero();
    }
    assertThat(Files.size(dir.resolve("f"))).isEqualTo(8);
  }

  @Test
  void aFailedCallReturnsItsNegatedErrno() {
    try (Arena arena = Arena.ofConfined()) {
      assertThat(Linux.close(-1)).isEqualTo(-Errnos.EBADF);
      assertThat(Linux.read(-1, arena.allocate(8), 8)).isEqualTo(-Errnos.EBADF);
      assertThat(Linux.ioctl(-1, 0, arena.allocate(8))).isEqualTo(-Errnos.EBADF);
      assertThat(Linux.openat(-100, arena.allocateFrom(dir.resolve("none").toString()), 0, 0))
          .isEqualTo(-Errnos.ENOENT);
      assertThat(Linux.munmap(1, 1)).isEqualTo(-Errnos.EINVAL);
    }
  }

  @Test
  void threadsThatFailAtTheSameTimeSeeTheirOwnErrno() throws Exception {
    AtomicReference<@Nullable String> wrong = new AtomicReference<>();
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 8; t++) {
      int me = t;
      Runnable body =
          () -> {
            try (Arena arena = Arena.ofConfined()) {
              MemorySegment path = arena.allocateFrom("/nonexistent-" + me);
              for (int i = 0; i < 20_000; i++) {
                int got = me % 2 == 0 ? Linux.close(-1) : Linux.openat(-100, path, 0, 0);
                int want = me % 2 == 0 ? -Errnos.EBADF : -Errnos.ENOENT;
                if (got != want) {
                  wrong.set(got + " instead of " + want);
                }
              }
            }
          };
      threads.add(t < 4 ? Thread.ofPlatform().start(body) : Thread.ofVirtual().start(body));
    }
    for (Thread t : threads) {
      t.join();
    }
    assertThat(wrong.get()).isNull();
  }

  @Test
  void memoryThatIsGoneOrNotNativeIsRefusedByTheJvm() {
    Arena arena = Arena.ofConfined();
    MemorySegment gone = arena.allocate(8);
    arena.close();
    assertThatIllegalStateException().isThrownBy(() -> Linux.read(0, gone, 8));
    assertThatIllegalStateException().isThrownBy(() -> Linux.ioctl(-1, 0, gone));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Linux.read(0, MemorySegment.ofArray(new byte[8]), 8));
  }

  @Test
  void aCallThatMayTouchMoreThanItsSegmentIsRefusedBeforeItIsMade() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment eight = arena.allocate(8, 8);
      MemorySegment none = MemorySegment.NULL;
      MemorySegment length = arena.allocateFrom(ValueLayout.JAVA_INT, 9);
      MemorySegment unended = arena.allocateFrom(ValueLayout.JAVA_BYTE, (byte) 'a', (byte) 'b');
      List<Runnable> calls =
          List.of(
              () -> Linux.read(-1, eight, 9),
              () -> Linux.read(-1, none, 1),
              () -> Linux.write(-1, eight, -1),
              () -> Linux.sendto(-1, eight, 1L << 40, 0, 0, 0),
              () -> Linux.recvmsg(-1, eight, 0),
              () -> Linux.ppoll(eight, 2, none, none, 0),
              () -> Linux.ppoll(eight, Long.MAX_VALUE / 16, none, none, 0),
              () -> Linux.ppoll(eight, 1, eight, none, 0),
              () -> Linux.getsockname(-1, eight, length),
              () -> Linux.setsockopt(-1, 0, 0, eight, 9),
              () -> Linux.openat(-1, unended, 0, 0),
              () -> Linux.io_uring_setup(1, eight));
      for (int i = 0; i < calls.size(); i++) {
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
            .as("call %d", i)
            .isThrownBy(calls.get(i)::run);
      }
      assertThat(Linux.read(-1, eight, 8)).as("all of it").isEqualTo(-Errnos.EBADF);
      assertThat(Linux.ppoll(eight, 0, arena.allocate(16, 8), none, 0)).as("no time").isZero();
    }
  }

  @Test
  void accessorsStayWithinTheirSegment() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment two = arena.allocate(2L * pollfd.SIZE, pollfd.ALIGN);
      pollfd.fd(two, pollfd.SIZE, -7);
      pollfd.events(two, pollfd.SIZE, Processes.POLLIN);
      assertThat(pollfd.fd(two, pollfd.SIZE)).isEqualTo(-7);
      assertThat(pollfd.events(two, pollfd.SIZE)).isEqualTo(Processes.POLLIN);
      assertThat(pollfd.fd(two, 0)).isZero();
      assertThatExceptionOfType(IndexOutOfBoundsException.class)
          .isThrownBy(() -> pollfd.fd(two, 2L * pollfd.SIZE));
      assertThatExceptionOfType(IndexOutOfBoundsException.class)
          .isThrownBy(() -> pollfd.fd(two, -1));
    }
  }

  @Test
  void pollWaitsOnAnEventCounter() throws Exception {
    try (Arena arena = Arena.ofConfined()) {
      int fd =
          Errno.check(
              Linux.eventfd2(0, Processes.EFD_CLOEXEC | Processes.EFD_NONBLOCK), "eventfd", "");
      MemorySegment polled = arena.allocate(pollfd.SIZE, pollfd.ALIGN);
      pollfd.fd(polled, 0, fd);
      pollfd.events(polled, 0, Processes.POLLIN);
      MemorySegment noTime = arena.allocate(16, 8);
      assertThat(Linux.ppoll(polled, 1, noTime, MemorySegment.NULL, 0)).isZero();
      assertThat(Linux.write(fd, arena.allocateFrom(ValueLayout.JAVA_LONG, 3), 8)).isEqualTo(8);
      assertThat(Linux.ppoll(polled, 1, MemorySegment.NULL, MemorySegment.NULL, 0)).isEqualTo(1);
      MemorySegment count = arena.allocate(ValueLayout.JAVA_LONG);
      assertThat(Linux.read(fd, count, 8)).isEqualTo(8);
      assertThat(count.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(3);
      assertThat(Linux.close(fd)).isZero();
    }
  }

  @Test
  void aMappingIsBoundedAndDiesWithItsArena() throws Exception {
    Path file = Files.write(dir.resolve("mapped"), new byte[8192]);
    Arena arena = Arena.ofShared();
    MemorySegment m;
    try (Arena call = Arena.ofConfined()) {
      int fd =
          Linux.openat(
              org.mxfs.bindings.linux.Files.AT_FDCWD,
              call.allocateFrom(file.toString()),
              O_CREAT_RDWR,
              0);
      m = Mapping.map(arena, fd, 0, 8192, Memory.PROT_READ | Memory.PROT_WRITE, Memory.MAP_SHARED);
      assertThat(Linux.close(fd)).isZero();
    }
    m.set(ValueLayout.JAVA_INT, 8188, 42);
    assertThat(m.get(ValueLayout.JAVA_INT, 8188)).isEqualTo(42);
    assertThatExceptionOfType(IndexOutOfBoundsException.class)
        .isThrownBy(() -> m.get(ValueLayout.JAVA_INT, 8192));
    assertThat(mappings()).anyMatch(line -> line.endsWith(file.toString()));
    arena.close();
    assertThatIllegalStateException().isThrownBy(() -> m.get(ValueLayout.JAVA_INT, 0));
    assertThat(mappings()).noneMatch(line -> line.endsWith(file.toString()));
    try (Arena other = Arena.ofConfined()) {
      assertThatExceptionOfType(ErrnoException.class)
          .isThrownBy(() -> Mapping.map(other, -1, 0, 4096, Memory.PROT_READ, Memory.MAP_SHARED))
          .satisfies(e -> assertThat(e.errno()).isEqualTo(Errnos.EBADF));
    }
  }

  private static List<String> mappings() throws java.io.IOException {
    return Files.readAllLines(Path.of("/proc/self/maps"));
  }

  @Test
  void anErrnoExceptionSaysWhatWhereWhyAndWhatToDo() {
    ErrnoException e =
        new ErrnoException("open", "/dev/sdz, O_RDWR", Errnos.ENOENT, "check the name");
    assertThat(e)
        .hasMessage(
            "open(/dev/sdz, O_RDWR): ENOENT (no such file, family or object); check the name");
    assertThat(e.call()).isEqualTo("open");
    assertThat(e.arguments()).isEqualTo("/dev/sdz, O_RDWR");
    assertThat(e.errnoName()).isEqualTo("ENOENT");
    assertThat(e.hint()).isEqualTo("check the name");
    assertThat(new ErrnoException("x", "", 4000, "")).hasMessage("x(): 4000");
    assertThat(new ErrnoException("socket", "", Errnos.EMFILE, ""))
        .hasMessage(
            "socket(): EMFILE (too many open files); raise the limit of open files (ulimit -n)");
    assertThatIllegalArgumentException().isThrownBy(() -> new ErrnoException("x", "", 0, ""));
    assertThatExceptionOfType(ErrnoException.class)
        .isThrownBy(() -> Errno.check(-Errnos.EBUSY, "mount", "it"))
        .satisfies(x -> assertThat(x.errno()).isEqualTo(Errnos.EBUSY));
  }

  @Test
  void machinesWithoutACallTableAreRefused() {
    assertThat(SystemCall.isAarch64("Linux", "aarch64")).isTrue();
    assertThat(SystemCall.isAarch64("Linux", "amd64")).isFalse();
    for (String[] other : new String[][] {{"Linux", "riscv64"}, {"Mac OS X", "aarch64"}}) {
      assertThatExceptionOfType(UnsupportedOperationException.class)
          .isThrownBy(() -> SystemCall.isAarch64(other[0], other[1]))
          .withMessageContaining(other[1]);
    }
  }
}
