// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.fail;
import static org.mxfs.daemon.statestore.WholeDevice.area;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.UUID;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.blockio.FaultyBlockDevice;
import org.mxfs.blockio.FaultyBlockDevice.Fault;
import org.mxfs.blockio.MemoryBlockDevice;
import org.mxfs.blockio.Operation;

/**
 * The power goes before each write and flush in turn, and of the blocks that were not flushed any
 * set may be there: each of them is tried, and what is found must be what was synced.
 */
@Timeout(120)
class CrashPointsTest {
  /** Gives each sequence of choices once. */
  private static final class EveryChoice implements RandomGenerator {
    private final List<int[]> choices = new ArrayList<>();
    private int at;

    @Override
    public int nextInt(int bound) {
      if (at == choices.size()) {
        choices.add(new int[] {0, bound});
      }
      return choices.get(at++)[0];
    }

    @Override
    public long nextLong() {
      throw new UnsupportedOperationException();
    }

    /** Whether there is another sequence. */
    boolean next() {
      at = 0;
      while (!choices.isEmpty()) {
        int[] last = choices.getLast();
        if (++last[0] < last[1]) {
          return true;
        }
        choices.removeLast();
      }
      return false;
    }
  }

  @FunctionalInterface
  private interface Run {
    void on(BlockDevice disk, Log log) throws IOException;
  }

  /** What may be found: what was synced last, and what was being synced. */
  private static final class Log {
    private boolean made;
    private Map<Key, String> synced = Map.of();
    private Map<Key, String> syncing = Map.of();
    private final Map<Key, String> written = new TreeMap<>();

    void put(StateStore store, String name, int length) throws IOException {
      Key key = Key.of(name);
      long version = store.put(key, value(length));
      written.put(key, length + " bytes, version " + version);
    }

    void delete(StateStore store, String name) throws IOException {
      store.delete(Key.of(name));
      written.remove(Key.of(name));
    }

    void sync(StateStore store) throws IOException {
      syncing = Map.copyOf(written);
      store.sync();
      synced = syncing;
    }
  }

  private static byte[] value(int length) {
    byte[] value = new byte[length];
    Arrays.fill(value, (byte) length);
    return value;
  }

  private static final int SIZE = 1060 << 10;
  private static final int SIZE_OF_LARGE_BLOCKS = 1280 << 10;
  private long crashes;
  private long images;

  /** What was found, with what may be found: the same is looked at once. */
  private final Set<List<Object>> tried = new HashSet<>();

  private static StateStore open(BlockDevice disk, long salt) throws IOException {
    return StateStore.open(
        area(disk), 1, StateStore.Earlier.MAY_STILL_WRITE, new SplittableRandom(salt));
  }

  /** A disk that fails from write or flush {@code limit} on, and what was under it then. */
  private static final class Cut implements Closeable {
    private final MemoryBlockDevice inner;
    private final FaultyBlockDevice disk;
    private boolean reached;
    private long changes;

    Cut(MemoryBlockDevice inner, long limit) {
      this.inner = inner;
      this.disk =
          FaultyBlockDevice.over(
              inner,
              (number, operation, offset, length) -> {
                if ((operation == Operation.READ && !reached) || changes++ < limit) {
                  return new Fault.None();
                }
                reached = true;
                return new Fault.Fails(Errnos.EIO);
              });
    }

    void run(Run run, Log log) {
      try {
        run.on(disk, log);
      } catch (IOException e) {
        if (!reached) {
          throw new AssertionError("failed without a crash", e);
        }
      }
    }

    @Override
    public void close() throws IOException {
      disk.close();
    }
  }

  private void everywhere(int size, int blockSize, Run run) throws IOException {
    boolean reached = true;
    for (long limit = 0; reached; limit++) {
      try (Cut cut =
          new Cut(MemoryBlockDevice.create(size, blockSize, StateStore.MEMORY_BYTES), limit)) {
        Log log = new Log();
        cut.run(run, log);
        reached = cut.reached;
        crashes++;
        EveryChoice choice = new EveryChoice();
        do {
          byte[] found = cut.inner.afterCrash(choice);
          if (tried.add(List.of(Arrays.hashCode(found), log.made, log.synced, log.syncing))) {
            images++;
            check(found, blockSize, log, "before request " + limit);
            crashAgain(found, blockSize, log, "before request " + limit + ", then before ");
          }
        } while (choice.next());
      }
    }
  }

  /** The power goes again while the store is opened after the first time. */
  private static void crashAgain(byte[] found, int blockSize, Log log, String when)
      throws IOException {
    SplittableRandom random = new SplittableRandom(Arrays.hashCode(found));
    boolean reached = true;
    for (long limit = 0; reached; limit++) {
      try (Cut cut =
          new Cut(
              MemoryBlockDevice.withContents(found, blockSize, StateStore.MEMORY_BYTES), limit)) {
        cut.run(
            (disk, same) -> {
              try {
                opened(disk, 77).close();
              } catch (StoreException e) {
                if (log.made || e.kind() != StoreException.Kind.ABSENT) {
                  throw e;
                }
              }
            },
            log);
        reached = cut.reached;
        check(cut.inner.afterCrash(random), blockSize, log, when + limit);
      }
    }
  }

  private static void check(byte[] found, int blockSize, Log log, String when) throws IOException {
    try (MemoryBlockDevice disk =
        MemoryBlockDevice.withContents(found, blockSize, StateStore.MEMORY_BYTES)) {
      try (StateStore store = opened(disk, 99)) {
        Map<Key, String> there = contents(store);
        if (!there.equals(log.synced) && !there.equals(log.syncing)) {
          fail(
              "%s: found %s; synced was %s, being synced %s", when, there, log.synced, log.syncing);
        }
        // And it goes on from there.
        store.put(Key.of("/after"), value(3));
        store.sync();
        try (StateStore again = StateStore.openForReading(area(disk))) {
          assertThat(again.get(Key.of("/after"))).isPresent();
          assertThat(contents(again))
              .hasSize(there.containsKey(Key.of("/after")) ? there.size() : there.size() + 1);
        }
      } catch (StoreException e) {
        if (log.made || e.kind() != StoreException.Kind.ABSENT) {
          throw new AssertionError(when + ": " + e.getMessage(), e);
        }
      }
    }
  }

  private static Map<Key, String> contents(StateStore store) throws IOException {
    Map<Key, String> there = new TreeMap<>();
    for (Key key : store.list(Key.ROOT)) {
      Entry entry = store.get(key).orElseThrow();
      assertThat(entry.value()).isEqualTo(value(entry.length()));
      there.put(key, entry.toString());
    }
    return there;
  }

  /** After the power has gone nothing is under way any more. */
  private static StateStore opened(BlockDevice disk, long salt) throws IOException {
    return StateStore.open(area(disk), 1, StateStore.Earlier.OVER, new SplittableRandom(salt));
  }

  private static StateStore make(BlockDevice disk, Log log) throws IOException {
    StateStore.format(area(disk), new UUID(4, 5), 1, new SplittableRandom(4));
    log.made = true;
    return opened(disk, 5);
  }

  @Test
  void smallBatchesAndReopening() throws IOException {
    everywhere(
        SIZE,
        512,
        (disk, log) -> {
          StateStore store = make(disk, log);
          log.put(store, "/a", 10);
          log.sync(store);
          log.put(store, "/b", 1_200);
          log.put(store, "/c", 20);
          log.sync(store);
          log.put(store, "/a", 700);
          log.delete(store, "/b");
          log.sync(store);
          store.close();
          store = open(disk, 6);
          log.put(store, "/d", 5);
          log.delete(store, "/a");
          log.sync(store);
          store.close();
          store = open(disk, 7);
          log.put(store, "/e", 2_000);
          log.sync(store);
        });
    System.out.printf("small batches: %d crash points, %d images%n", crashes, images);
    assertThat(crashes).isGreaterThan(40);
    assertThat(images).isGreaterThan(crashes / 2);
  }

  /** Blocks so large that a segment is full after few of them: it moves while it is written to. */
  @Test
  void movingFromOneSegmentToAnother() throws IOException {
    everywhere(
        SIZE_OF_LARGE_BLOCKS,
        16 << 10,
        (disk, log) -> {
          StateStore store = make(disk, log);
          for (int i = 0; i < 14; i++) {
            log.put(store, "/k" + i % 2, 40_000 + i);
            if (i % 4 == 3) {
              log.delete(store, "/k" + (i + 1) % 2);
            }
            log.sync(store);
          }
        });
    System.out.printf("moving: %d crash points, %d images%n", crashes, images);
    assertThat(images).isGreaterThan(crashes / 2);
  }

  /** What is on a disk after some batches; {@code oneLess} without the last one. */
  private record Written(byte[] contents, Map<Key, String> full, Map<Key, String> oneLess) {}

  private static Written written() throws IOException {
    try (MemoryBlockDevice disk = MemoryBlockDevice.create(SIZE, 512, StateStore.MEMORY_BYTES)) {
      Log log = new Log();
      StateStore store = make(disk, log);
      log.put(store, "/a", 300);
      log.put(store, "/b", 900);
      log.sync(store);
      log.put(store, "/a", 40);
      log.sync(store);
      store.close();
      store = opened(disk, 8);
      log.put(store, "/c", 600);
      log.sync(store);
      log.delete(store, "/b");
      log.sync(store);
      final Map<Key, String> oneLess = log.synced;
      log.put(store, "/d", 50);
      log.sync(store);
      return new Written(disk.contents(), log.synced, oneLess);
    }
  }

  /**
   * One bit is wrong, anywhere: the store is as it was, or says so; the last batch may be missing.
   */
  @Test
  void aFlippedBitIsFoundOrHarmless() throws IOException {
    Written written = written();
    byte[] good = written.contents;
    int refused = 0;
    int behind = 0;
    int zeros = 0;
    try (MemoryBlockDevice disk =
        MemoryBlockDevice.withContents(good, 512, 512L + StateStore.MEMORY_BYTES)) {
      MemorySegment block = disk.buffers().asSlice(StateStore.MEMORY_BYTES, 512);
      for (int at = 0; at < good.length; at++) {
        zeros = good[at] == 0 ? zeros + 1 : 0;
        if (zeros > 1_024 && at % 4093 != 0) {
          continue;
        }
        int from = at / 512 * 512;
        MemorySegment.copy(good, from, block, ValueLayout.JAVA_BYTE, 0, 512);
        block.set(ValueLayout.JAVA_BYTE, at - from, (byte) (good[at] ^ 1 << (at % 8)));
        disk.write(from, block);
        try (StateStore store = StateStore.openForReading(area(disk))) {
          Map<Key, String> there = contents(store);
          if (there.equals(written.oneLess)) {
            behind++;
          } else {
            assertThat(there).as("bit of byte %d", at).isEqualTo(written.full);
          }
        } catch (StoreException e) {
          refused++;
          assertThat(e.kind()).isIn(StoreException.Kind.CORRUPT, StoreException.Kind.NEWER);
        }
        block.set(ValueLayout.JAVA_BYTE, at - from, good[at]);
        disk.write(from, block);
        disk.flush();
      }
    }
    // Each byte of the snapshot, and of the two batches before the last, counts; heads are double.
    assertThat(refused).isGreaterThan(1_300);
    assertThat(behind).isBetween(50, 200);
  }

  /**
   * One block cannot be read: only what is in it matters. Heads and claims are there more than
   * once, and where nothing is written nothing is missed; else that is said.
   */
  @Test
  void aBlockThatCannotBeReadHidesOnlyWhatIsInIt() throws IOException {
    Written written = written();
    int refused = 0;
    int[] bad = {0};
    MemoryBlockDevice inner =
        MemoryBlockDevice.withContents(written.contents, 512, StateStore.MEMORY_BYTES);
    try (FaultyBlockDevice disk =
        FaultyBlockDevice.over(
            inner,
            (number, operation, offset, length) ->
                operation == Operation.READ
                        && offset <= bad[0] * 512L
                        && bad[0] * 512L < offset + length
                    ? new Fault.Fails(Errnos.ENODATA)
                    : new Fault.None())) {
      for (; bad[0] < SIZE / 512; bad[0]++) {
        try (StateStore store = StateStore.openForReading(area(disk))) {
          assertThat(contents(store)).as("block %d", bad[0]).isEqualTo(written.full);
        } catch (StoreException e) {
          assertThat(e.kind()).isEqualTo(StoreException.Kind.CORRUPT);
          assertThat(e).hasMessageContaining("cannot be read");
          refused++;
        }
      }
      assertThat(inner.contents()).isEqualTo(written.contents);
      // And it is written to.
      for (bad[0] = 0; bad[0] < SIZE / 512; bad[0]++) {
        if (Arrays.equals(
            written.contents, bad[0] * 512, bad[0] * 512 + 512, new byte[512], 0, 512)) {
          continue;
        }
        byte[] before = inner.contents();
        try (StateStore store = opened(disk, bad[0])) {
          store.put(Key.of("/after" + bad[0]), value(3));
          store.sync();
        } catch (StoreException e) {
          assertThat(e.kind()).isEqualTo(StoreException.Kind.CORRUPT);
          assertThat(inner.contents()).isEqualTo(before);
        }
      }
    }
    // The snapshot of 3 blocks, the three batches, of 1 or 2 blocks, and the place of the next one.
    assertThat(refused).isBetween(6, 9);
  }

  /** Both copies of the newest head are lost: no older state is taken for the newest. */
  @Test
  void noOlderStateIsTakenForTheNewest() throws IOException {
    Written written = written();
    List<Integer> heads = new ArrayList<>();
    ByteBuffer contents = ByteBuffer.wrap(written.contents).order(ByteOrder.LITTLE_ENDIAN);
    long newest = 0;
    for (int at = 0; at < SIZE; at += 512) {
      if (contents.getInt(at) == JournalLayout.HEAD_MAGIC) {
        long opening = JournalLayout.HEAD_OPENING.get(contents, at);
        if (opening > newest) {
          heads.clear();
          newest = opening;
        }
        if (opening == newest) {
          heads.add(at);
        }
      }
    }
    assertThat(heads).hasSize(2);
    byte[] bad = written.contents.clone();
    heads.forEach(at -> bad[at + 40] ^= 1);
    try (MemoryBlockDevice disk =
        MemoryBlockDevice.withContents(bad, 512, StateStore.MEMORY_BYTES)) {
      assertThatExceptionOfType(StoreException.class)
          .isThrownBy(() -> StateStore.openForReading(area(disk)))
          .satisfies(e -> assertThat(e.kind()).isEqualTo(StoreException.Kind.CORRUPT));
    }
  }

  /**
   * At each request in turn the time is over: the store does not touch the memory of that request,
   * also not when it is opened anew, before the disk has answered; then all is there.
   */
  @ParameterizedTest
  @EnumSource(
      value = Operation.class,
      names = {"READ", "WRITE", "FLUSH"})
  void theMemoryOfARequestThatTimedOutIsLeftAlone(Operation late) throws IOException {
    for (int at = 0; ; at++) {
      int[] seen = {0};
      boolean[] timedOut = {false};
      int last = at;
      MemoryBlockDevice inner = MemoryBlockDevice.create(SIZE, 512, 2L * StateStore.MEMORY_BYTES);
      StateStore.format(area(inner), new UUID(4, 5), 1, new SplittableRandom(4));
      Log log = new Log();
      FaultyBlockDevice disk =
          FaultyBlockDevice.over(
              inner,
              (number, operation, offset, length) -> {
                if (operation == late && seen[0]++ == last) {
                  timedOut[0] = true;
                  return new Fault.TimesOut();
                }
                return new Fault.None();
              });
      try {
        StateStore store = opened(disk, 5);
        log.put(store, "/a", 10);
        log.sync(store);
        log.put(store, "/b", 20_000);
        log.sync(store);
      } catch (IOException e) {
        assertThat(timedOut[0]).as(e.getMessage()).isTrue();
      }
      if (!timedOut[0]) {
        assertThat(at).isGreaterThan(3);
        disk.close();
        return;
      }
      if (late != Operation.FLUSH) {
        assertThatExceptionOfType(StoreException.class)
            .isThrownBy(() -> open(disk, 6))
            .satisfies(e -> assertThat(e.kind()).isEqualTo(StoreException.Kind.BUSY));
        assertThatExceptionOfType(StoreException.class)
            .isThrownBy(
                () -> StateStore.format(area(disk), new UUID(0, 0), 1, new SplittableRandom(4)))
            .satisfies(e -> assertThat(e.kind()).isEqualTo(StoreException.Kind.BUSY));
      }
      // With memory of its own it need not wait.
      Map<Key, String> there;
      StoreArea other =
          StoreArea.of(
              disk.withTimeout(Duration.ofMillis(20)),
              disk.size(),
              disk.buffers().asSlice(StateStore.MEMORY_BYTES, StateStore.MEMORY_BYTES));
      try (StateStore store =
          StateStore.open(other, 1, StateStore.Earlier.MAY_STILL_WRITE, new SplittableRandom(7))) {
        there = contents(store);
        assertThat(there).as("request %d", at).isIn(log.synced, log.syncing);
        store.put(Key.of("/c"), value(30));
        store.sync();
        there = contents(store);
      } catch (ErrnoException e) {
        // The claim itself is under way; the next one would be the same, in the same place.
        assertThat(late).isEqualTo(Operation.WRITE);
        assertThat(at).isZero();
        assertThat(e.errno()).isEqualTo(Errnos.EBUSY);
        there = log.synced;
      }
      disk.release();
      try (StateStore store = open(disk, 8)) {
        assertThat(contents(store)).as("request %d", at).isEqualTo(there);
      }
      disk.close();
    }
  }
}
