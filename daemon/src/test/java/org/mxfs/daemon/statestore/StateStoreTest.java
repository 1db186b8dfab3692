// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.mxfs.daemon.statestore.WholeDevice.area;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.blockio.BlockDevices;
import org.mxfs.blockio.FaultyBlockDevice;
import org.mxfs.blockio.FaultyBlockDevice.Fault;
import org.mxfs.blockio.MemoryBlockDevice;
import org.mxfs.blockio.Operation;

@Timeout(60)
class StateStoreTest {
  private static final int SIZE = 2 << 20;
  private static final Key A = Key.of("/state/a");
  private static final Key B = Key.of("/state/b");

  @TempDir Path dir;

  private static MemoryBlockDevice memory() {
    return MemoryBlockDevice.create(SIZE, 512, StateStore.MEMORY_BYTES);
  }

  private static StateStore fresh(BlockDevice device) throws IOException {
    StateStore.format(area(device), new UUID(1, 2), 1, new SplittableRandom(1));
    return reopened(device);
  }

  private static StateStore reopened(BlockDevice device) throws IOException {
    return StateStore.open(
        area(device), 1, StateStore.Earlier.OVER, new SplittableRandom(device.hashCode()));
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String text(StateStore store, Key key) throws IOException {
    return store
        .get(key)
        .map(entry -> new String(entry.value(), StandardCharsets.UTF_8))
        .orElse("(none)");
  }

  private static void refused(StoreException.Kind kind, ThrowingCallable call) {
    assertThatExceptionOfType(StoreException.class)
        .isThrownBy(call)
        .satisfies(e -> assertThat(e.kind()).as(e.getMessage()).isEqualTo(kind));
  }

  @ParameterizedTest
  @EnumSource(
      value = BlockDevices.Backend.class,
      names = {"URING", "SYSTEM_CALLS"})
  void onAFileAndAfterEachReopeningEverythingIsAsItWasSynced(BlockDevices.Backend backend)
      throws IOException {
    Path file = dir.resolve("disk");
    try (RandomAccessFile made = new RandomAccessFile(file.toFile(), "rw")) {
      made.setLength(SIZE);
    }
    BlockDevices.Options options =
        BlockDevices.Options.DEFAULT.withBackend(backend).withBufferBytes(StateStore.MEMORY_BYTES);
    try (BlockDevice device = BlockDevices.open(file, options)) {
      try (StateStore store = fresh(device)) {
        store.put(A, bytes("one"));
        store.put(B, bytes("two"));
        store.sync();
      }
    }
    for (int round = 0; round < 5; round++) {
      try (BlockDevice device = BlockDevices.open(file, options);
          StateStore store = reopened(device)) {
        assertThat(text(store, A)).isEqualTo(round == 0 ? "one" : "round " + (round - 1));
        assertThat(text(store, B)).isEqualTo(round == 0 ? "two" : "(none)");
        store.delete(B);
        store.put(A, bytes("round " + round));
        store.sync();
      }
    }
  }

  @Test
  void noSuchKeyIsAnAnswer() throws IOException {
    try (MemoryBlockDevice disk = memory();
        StateStore store = fresh(disk)) {
      assertThat(store.get(A)).isEmpty();
      assertThat(store.delete(A)).isFalse();
      assertThat(store.list(Key.ROOT)).isEmpty();
    }
  }

  @Test
  void listGivesTheKeysBelowAFolderInOrder() throws IOException {
    try (MemoryBlockDevice disk = memory();
        StateStore store = fresh(disk)) {
      for (String key : List.of("/b/2", "/b", "/b-", "/b/1/x", "/bc", "/a/9")) {
        store.put(Key.of(key), bytes(key));
      }
      assertThat(store.list(Key.of("/b"))).hasToString("[/b/1/x, /b/2]");
      assertThat(store.list(Key.ROOT)).hasToString("[/a/9, /b, /b-, /b/1/x, /b/2, /bc]");
      assertThat(store.list(Key.of("/c"))).isEmpty();
    }
  }

  @Test
  void eachChangeHasALargerNumberAlsoAfterReopeningAnEmptiedStore() throws IOException {
    try (MemoryBlockDevice disk = memory()) {
      long first;
      try (StateStore store = fresh(disk)) {
        first = store.put(A, bytes("1"));
        assertThat(store.put(A, bytes("2"))).isGreaterThan(first);
        store.delete(A);
        store.sync();
      }
      try (StateStore store = reopened(disk)) {
        assertThat(store.put(B, bytes("3"))).isGreaterThan(first + 2);
      }
    }
  }

  /** Somebody may have been told of it. */
  @Test
  void theNumberOfAChangeThatWasLostIsNotUsedAgain() throws IOException {
    try (MemoryBlockDevice disk = memory()) {
      long lost;
      try (StateStore store = fresh(disk)) {
        store.put(A, bytes("kept"));
        store.sync();
        lost = store.put(B, bytes("lost"));
      }
      try (StateStore store = reopened(disk)) {
        assertThat(store.put(B, bytes("another"))).isGreaterThan(lost);
      }
    }
  }

  @Test
  void whatWasNotSyncedIsNotThereAfterACrash() throws IOException {
    try (MemoryBlockDevice disk = memory()) {
      try (StateStore store = fresh(disk)) {
        store.put(A, bytes("kept"));
        store.sync();
        store.put(A, bytes("lost"));
        store.put(B, bytes("lost"));
        assertThat(text(store, A)).isEqualTo("lost");
      }
      try (StateStore store = reopened(disk)) {
        assertThat(text(store, A)).isEqualTo("kept");
        assertThat(store.get(B)).isEmpty();
      }
    }
  }

  @Test
  void theCallersArraysAreNotShared() throws IOException {
    try (MemoryBlockDevice disk = memory();
        StateStore store = fresh(disk)) {
      byte[] mine = bytes("mine");
      store.put(A, mine);
      mine[0] = 'X';
      store.get(A).orElseThrow().value()[1] = 'Y';
      store.sync();
      assertThat(text(store, A)).isEqualTo("mine");
    }
  }

  @Test
  void limitsRefuseAndChangeNothing() throws IOException {
    try (MemoryBlockDevice disk = memory();
        StateStore store = fresh(disk)) {
      store.put(A, new byte[Journal.VALUE_MAX]);
      refused(StoreException.Kind.FULL, () -> store.put(A, new byte[Journal.VALUE_MAX + 1]));
      assertThat(store.get(A).orElseThrow().length()).isEqualTo(Journal.VALUE_MAX);
      // Together more than a batch: to be synced first.
      refused(StoreException.Kind.FULL, () -> store.put(B, new byte[Journal.VALUE_MAX]));
      assertThat(store.get(B)).isEmpty();
      store.sync();
      store.put(B, new byte[Journal.VALUE_MAX]);
      store.sync();
    }
  }

  @Test
  void aFullStoreRefusesKeepsWhatItHasAndCanBeEmptied() throws IOException {
    try (MemoryBlockDevice disk = memory()) {
      Map<Key, Integer> kept = new HashMap<>();
      try (StateStore store = fresh(disk)) {
        int number = 0;
        while (true) {
          Key key = Key.of("/k/" + number);
          try {
            store.put(key, new byte[10_000 + number]);
          } catch (StoreException e) {
            assertThat(e.kind()).isEqualTo(StoreException.Kind.FULL);
            break;
          }
          store.sync();
          kept.put(key, 10_000 + number++);
        }
        assertThat(kept).hasSizeGreaterThan(30);
        // Full, it still moves from one half to the other when a value is replaced, many times.
        for (int i = 0; i < 100; i++) {
          store.put(Key.of("/k/0"), new byte[10_000]);
          store.sync();
        }
      }
      try (StateStore store = reopened(disk)) {
        assertThat(store.list(Key.ROOT)).hasSameSizeAs(kept.keySet());
        for (Map.Entry<Key, Integer> one : kept.entrySet()) {
          assertThat(store.get(one.getKey()).orElseThrow().length()).isEqualTo(one.getValue());
          assertThat(store.delete(one.getKey())).isTrue();
        }
        store.sync();
        store.put(A, new byte[Journal.VALUE_MAX]);
        store.sync();
      }
    }
  }

  @Test
  void whereNoStoreIsNothingIsMadeUp() throws IOException {
    try (MemoryBlockDevice disk = memory()) {
      refused(StoreException.Kind.ABSENT, () -> reopened(disk));
      assertThat(disk.contents()).containsOnly(0);
    }
    byte[] foreign = new byte[SIZE];
    new SplittableRandom(7).nextBytes(foreign);
    try (MemoryBlockDevice disk =
        MemoryBlockDevice.withContents(foreign, 512, StateStore.MEMORY_BYTES)) {
      refused(StoreException.Kind.CORRUPT, () -> reopened(disk));
      assertThat(disk.contents()).isEqualTo(foreign);
    }
    try (MemoryBlockDevice disk = MemoryBlockDevice.create(1 << 20, 512, StateStore.MEMORY_BYTES)) {
      refused(StoreException.Kind.FULL, () -> fresh(disk));
      assertThat(disk.contents()).containsOnly(0);
    }
  }

  @Test
  void aWriterOfAnOlderEpochIsRefusedAndWritesNothing() throws IOException {
    try (MemoryBlockDevice disk = memory()) {
      fresh(disk).close();
      StateStore.open(area(disk), 9, StateStore.Earlier.OVER, new SplittableRandom(1)).close();
      byte[] before = disk.contents();
      refused(
          StoreException.Kind.STALE,
          () -> StateStore.open(area(disk), 8, StateStore.Earlier.OVER, new SplittableRandom(1)));
      assertThat(disk.contents()).isEqualTo(before);
      StateStore.open(area(disk), 9, StateStore.Earlier.OVER, new SplittableRandom(1)).close();
    }
  }

  @Test
  void readingWritesNothing() throws IOException {
    try (MemoryBlockDevice disk = memory()) {
      try (StateStore store = fresh(disk)) {
        store.put(A, bytes("seen"));
        store.sync();
      }
      byte[] before = disk.contents();
      try (StateStore store = StateStore.openForReading(area(disk))) {
        assertThat(text(store, A)).isEqualTo("seen");
        refused(StoreException.Kind.READ_ONLY, () -> store.put(A, bytes("x")));
        refused(StoreException.Kind.READ_ONLY, () -> store.delete(A));
        refused(StoreException.Kind.READ_ONLY, store::sync);
      }
      assertThat(disk.contents()).isEqualTo(before);
    }
  }

  @Test
  void aClosedStoreRefuses() throws IOException {
    try (MemoryBlockDevice disk = memory()) {
      StateStore store = fresh(disk);
      store.close();
      store.close();
      refused(StoreException.Kind.CLOSED, () -> store.get(A));
      refused(StoreException.Kind.CLOSED, store::sync);
    }
  }

  @Test
  void extentsInAnyOrderAreOneArea() throws IOException {
    try (MemoryBlockDevice disk = MemoryBlockDevice.create(2 * SIZE, 512, 1 << 18)) {
      List<StoreArea.Extent> extents = new ArrayList<>();
      for (int i = 0; i < 256; i++) {
        extents.add(new StoreArea.Extent((long) ((i * 37) % 256) * 16384 + 512, 4608));
      }
      StoreArea area =
          new StoreArea(disk, extents, disk.buffers().asSlice(0, StateStore.MEMORY_BYTES));
      SplittableRandom random = new SplittableRandom(3);
      StateStore.format(area, new UUID(0, 0), 1, random);
      Map<Key, byte[]> expected = new HashMap<>();
      try (StateStore store = StateStore.open(area, 1, StateStore.Earlier.OVER, random)) {
        for (int i = 0; i < 300; i++) {
          Key key = Key.of("/x/" + random.nextInt(20));
          byte[] value = new byte[random.nextInt(9000)];
          random.nextBytes(value);
          store.put(key, value);
          expected.put(key, value);
          store.sync();
        }
      }
      try (StateStore store = StateStore.open(area, 1, StateStore.Earlier.OVER, random)) {
        for (Map.Entry<Key, byte[]> one : expected.entrySet()) {
          assertThat(store.get(one.getKey()).orElseThrow().value()).isEqualTo(one.getValue());
        }
      }
      // Nothing was written between the extents.
      byte[] contents = disk.contents();
      for (int i = 0; i < 256; i++) {
        for (int at = i * 16384 + 512 + 4608; at < (i + 1) * 16384; at++) {
          assertThat(contents[at]).isZero();
        }
      }
    }
  }

  /** Many wait at the same time: one write for all of them. */
  @Test
  void whoWaitsTogetherSharesAWrite() throws Exception {
    AtomicInteger flushes = new AtomicInteger();
    AtomicInteger hangAt = new AtomicInteger(Integer.MAX_VALUE);
    MemoryBlockDevice inner = memory();
    CountDownLatch hanging = new CountDownLatch(1);
    try (FaultyBlockDevice disk =
        FaultyBlockDevice.over(
            inner,
            (number, operation, offset, length) -> {
              if (operation == Operation.FLUSH && flushes.incrementAndGet() == hangAt.get()) {
                hanging.countDown();
                return new Fault.Hangs();
              }
              return new Fault.None();
            })) {
      StateStore store = fresh(disk);
      int before = flushes.get();
      hangAt.set(before + 1);
      List<Thread> threads = new ArrayList<>();
      List<Throwable> failed = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        Key key = Key.of("/t/" + i);
        threads.add(
            Thread.ofPlatform()
                .unstarted(
                    () -> {
                      try {
                        store.put(key, bytes("x"));
                        store.sync();
                      } catch (IOException e) {
                        synchronized (failed) {
                          failed.add(e);
                        }
                      }
                    }));
      }
      threads.getFirst().start();
      hanging.await();
      for (Thread thread : threads.subList(1, 16)) {
        thread.start();
      }
      for (Thread thread : threads.subList(1, 16)) {
        while (thread.getState() != Thread.State.WAITING) {
          Thread.onSpinWait();
        }
      }
      disk.release();
      for (Thread thread : threads) {
        thread.join();
      }
      assertThat(failed).isEmpty();
      assertThat(flushes.get() - before).isEqualTo(2);
      try (StateStore again = reopened(disk)) {
        assertThat(again.list(Key.ROOT)).hasSize(16);
      }
    }
  }

  /** Four threads change and sync, the store moves often; then the power goes. */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4})
  void whatWasSyncedUnderLoadIsThereAfterACrash(long seed) throws Exception {
    AtomicLong writes = new AtomicLong();
    long segment = (SIZE / 512 - Journal.CLAIMS) / Journal.SEGMENTS * 512L;
    List<Long> heads = new ArrayList<>();
    for (int i = 0; i < Journal.SEGMENTS; i++) {
      heads.add(Journal.CLAIMS * 512L + i * segment);
    }
    MemoryBlockDevice inner = memory();
    FaultyBlockDevice disk =
        FaultyBlockDevice.over(
            inner,
            (number, operation, offset, length) -> {
              if (operation == Operation.WRITE && heads.contains(offset)) {
                writes.incrementAndGet();
              }
              return new Fault.None();
            });
    ConcurrentHashMap<Key, Long> synced = new ConcurrentHashMap<>();
    StateStore store = fresh(disk);
    byte[] left;
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<?>> all = new ArrayList<>();
      for (int t = 0; t < 4; t++) {
        SplittableRandom random = new SplittableRandom(seed * 100 + t);
        String folder = "/t" + t + "/";
        all.add(
            threads.submit(
                () -> {
                  for (int i = 0; i < 400; i++) {
                    Key key = Key.of(folder + random.nextInt(3));
                    long version = store.put(key, new byte[random.nextInt(20_000)]);
                    store.sync();
                    synced.put(key, version);
                  }
                  return null;
                }));
      }
      for (Future<?> one : all) {
        one.get(50, TimeUnit.SECONDS);
      }
      left = inner.afterCrash(new SplittableRandom(seed));
    }
    assertThat(writes.get()).as("moves from one segment to another").isGreaterThan(20);
    try (MemoryBlockDevice found =
            MemoryBlockDevice.withContents(left, 512, StateStore.MEMORY_BYTES);
        StateStore again = reopened(found)) {
      for (Map.Entry<Key, Long> one : synced.entrySet()) {
        assertThat(again.get(one.getKey()).orElseThrow().version()).isEqualTo(one.getValue());
      }
    }
    disk.close();
  }

  @Test
  void replayReadsNoMoreThanTheAreaTwice() throws IOException {
    AtomicLong read = new AtomicLong();
    MemoryBlockDevice inner = MemoryBlockDevice.create(4 * SIZE, 512, StateStore.MEMORY_BYTES);
    try (FaultyBlockDevice disk =
        FaultyBlockDevice.over(
            inner,
            (number, operation, offset, length) -> {
              if (operation == Operation.READ) {
                read.addAndGet(length);
              }
              return new Fault.None();
            })) {
      SplittableRandom random = new SplittableRandom(5);
      try (StateStore store = fresh(disk)) {
        for (int i = 0; i < 2_000; i++) {
          store.put(Key.of("/r/" + random.nextInt(50)), new byte[random.nextInt(2_000)]);
          store.sync();
        }
      }
      read.set(0);
      reopened(disk).close();
      assertThat(read.get()).isLessThanOrEqualTo(4L * SIZE + 1024);
    }
  }

  /**
   * At each request in turn the disk fails: told, never lost, and all is well once it is mended.
   */
  @ParameterizedTest
  @EnumSource(
      value = Operation.class,
      names = {"WRITE", "FLUSH", "READ"})
  void anErrorOfTheDiskIsToldAndNothingThatWasSyncedIsLost(Operation failing) throws IOException {
    for (int failAt = 0; ; failAt++) {
      AtomicInteger seen = new AtomicInteger();
      int at = failAt;
      MemoryBlockDevice inner = memory();
      Map<Key, Long> synced = new HashMap<>();
      try (FaultyBlockDevice disk =
          FaultyBlockDevice.over(
              inner,
              (number, operation, offset, length) ->
                  operation == failing && seen.getAndIncrement() == at
                      ? new Fault.Fails(Errnos.EIO)
                      : new Fault.None())) {
        StateStore.format(area(inner), new UUID(1, 2), 1, new SplittableRandom(1));
        try {
          StateStore store = reopened(disk);
          for (int i = 0; i < 12; i++) {
            Key key = Key.of("/e/" + i % 3);
            long version = store.put(key, new byte[50_000]);
            try {
              store.sync();
            } catch (StoreException e) {
              assertThat(e.kind()).isEqualTo(StoreException.Kind.BROKEN);
              refused(StoreException.Kind.BROKEN, () -> store.get(key));
              refused(StoreException.Kind.BROKEN, store::sync);
              throw e;
            }
            synced.put(key, version);
          }
        } catch (IOException e) {
          assertThat(seen.get()).as(e.getMessage()).isGreaterThan(at);
        }
        try (StateStore store = reopened(inner)) {
          for (Map.Entry<Key, Long> one : synced.entrySet()) {
            assertThat(store.get(one.getKey()).orElseThrow().version())
                .isGreaterThanOrEqualTo(one.getValue());
          }
        }
      }
      if (seen.get() <= at) {
        assertThat(failAt).isGreaterThan(3);
        return;
      }
    }
  }

  /** A disk that says it wrote and did not. */
  @Test
  void aLostWriteInTheMiddleIsSaidNotSkipped() throws IOException {
    AtomicInteger writes = new AtomicInteger(Integer.MIN_VALUE);
    MemoryBlockDevice inner = memory();
    try (FaultyBlockDevice disk =
        FaultyBlockDevice.over(
            inner,
            (number, operation, offset, length) ->
                operation == Operation.WRITE && writes.getAndIncrement() == 2
                    ? new Fault.Lost()
                    : new Fault.None())) {
      StateStore store = fresh(disk);
      writes.set(0);
      for (int i = 0; i < 5; i++) {
        store.put(A, bytes("value " + i));
        store.sync();
      }
      byte[] before = inner.contents();
      refused(StoreException.Kind.CORRUPT, () -> reopened(disk));
      assertThat(inner.contents()).isEqualTo(before);
    }
  }

  @Test
  void wrongMemoryAndWrongExtentsAreRefused() {
    try (MemoryBlockDevice disk = MemoryBlockDevice.create(SIZE, 4096, 1 << 18)) {
      MemorySegment memory = disk.buffers().asSlice(0, StateStore.MEMORY_BYTES);
      for (StoreArea.Extent extent :
          List.of(
              new StoreArea.Extent(512, 4096),
              new StoreArea.Extent(0, 512),
              new StoreArea.Extent(0, SIZE + 4096L))) {
        assertThatExceptionOfType(IllegalArgumentException.class)
            .isThrownBy(() -> new StoreArea(disk, List.of(extent), memory));
      }
      assertThatExceptionOfType(IllegalArgumentException.class)
          .isThrownBy(() -> StoreArea.of(disk, SIZE, disk.buffers().asSlice(0, 4096)));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }
}
