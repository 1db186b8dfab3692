// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import java.io.Closeable;
import java.io.IOException;
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
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.blockio.FaultyBlockDevice;
import org.mxfs.blockio.FaultyBlockDevice.Fault;
import org.mxfs.blockio.MemoryBlockDevice;

/**
 * The power goes before each request to the disk in turn, and of the blocks that were not flushed
 * any set may be there: each of them is tried, and what is found must be what was synced.
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

  private static final int SIZE = 640 << 10;
  private long crashes;
  private long images;

  private static StoreArea area(BlockDevice device) {
    return StoreArea.of(
        device, device.size(), device.buffers().asSlice(0, StateStore.MEMORY_BYTES));
  }

  private static StateStore open(BlockDevice disk, long salt) throws IOException {
    return StateStore.open(area(disk), 1, new SplittableRandom(salt));
  }

  /** A disk that fails from request {@code limit} on, and what was under it then. */
  private static final class Cut implements Closeable {
    private final MemoryBlockDevice inner;
    private final FaultyBlockDevice disk;
    private boolean reached;

    Cut(MemoryBlockDevice inner, long limit) {
      this.inner = inner;
      this.disk =
          FaultyBlockDevice.over(
              inner,
              (number, operation, offset, length) -> {
                if (number < limit) {
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

  private void everywhere(int blockSize, Run run) throws IOException {
    boolean reached = true;
    for (long limit = 0; reached; limit++) {
      try (Cut cut =
          new Cut(MemoryBlockDevice.create(SIZE, blockSize, StateStore.MEMORY_BYTES), limit)) {
        Log log = new Log();
        cut.run(run, log);
        reached = cut.reached;
        crashes++;
        EveryChoice choice = new EveryChoice();
        Set<Integer> tried = new HashSet<>();
        do {
          byte[] found = cut.inner.afterCrash(choice);
          if (tried.add(Arrays.hashCode(found))) {
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
    for (long limit = 2; reached; limit++) {
      try (Cut cut =
          new Cut(
              MemoryBlockDevice.withContents(found, blockSize, StateStore.MEMORY_BYTES), limit)) {
        cut.run(
            (disk, same) -> {
              try {
                open(disk, 77).close();
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
      try (StateStore store = open(disk, 99)) {
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

  private static StateStore make(BlockDevice disk, Log log) throws IOException {
    StateStore.format(area(disk), new UUID(4, 5), 1, new SplittableRandom(4));
    log.made = true;
    return open(disk, 5);
  }

  @Test
  void smallBatchesAndReopening() throws IOException {
    everywhere(
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
    assertThat(images).isGreaterThan(crashes);
  }

  /** Blocks so large that a half is full after few of them: it moves while it is written to. */
  @Test
  void movingFromOneHalfToTheOther() throws IOException {
    everywhere(
        32 << 10,
        (disk, log) -> {
          StateStore store = make(disk, log);
          for (int i = 0; i < 12; i++) {
            log.put(store, "/k" + i % 2, 40_000 + i);
            if (i % 4 == 3) {
              log.delete(store, "/k" + (i + 1) % 2);
            }
            log.sync(store);
          }
        });
    System.out.printf("moving: %d crash points, %d images%n", crashes, images);
    assertThat(images).isGreaterThan(crashes);
  }

  /**
   * One bit is wrong, anywhere: the store is as it was, or says so; the last batch may be missing.
   */
  @Test
  void aFlippedBitIsFoundOrHarmless() throws IOException {
    byte[] good;
    Map<Key, String> full;
    Map<Key, String> oneLess;
    try (MemoryBlockDevice disk = MemoryBlockDevice.create(SIZE, 512, StateStore.MEMORY_BYTES)) {
      Log log = new Log();
      StateStore store = make(disk, log);
      log.put(store, "/a", 300);
      log.put(store, "/b", 900);
      log.sync(store);
      log.put(store, "/a", 40);
      log.sync(store);
      store.close();
      store = open(disk, 8);
      log.put(store, "/c", 600);
      log.sync(store);
      log.delete(store, "/b");
      log.sync(store);
      oneLess = log.synced;
      log.put(store, "/d", 50);
      log.sync(store);
      full = log.synced;
      good = disk.contents();
    }
    int refused = 0;
    int behind = 0;
    for (int at = 0; at < good.length; at += at % (SIZE / 2) < 8192 ? 1 : 4093) {
      byte[] bad = good.clone();
      bad[at] ^= (byte) (1 << (at % 8));
      try (MemoryBlockDevice disk =
          MemoryBlockDevice.withContents(bad, 512, StateStore.MEMORY_BYTES)) {
        try (StateStore store = StateStore.openForReading(area(disk))) {
          Map<Key, String> there = contents(store);
          if (there.equals(oneLess)) {
            behind++;
          } else {
            assertThat(there).as("bit of byte %d", at).isEqualTo(full);
          }
        } catch (StoreException e) {
          refused++;
          assertThat(e.kind()).isIn(StoreException.Kind.CORRUPT, StoreException.Kind.NEWER);
        }
      }
    }
    // Each byte of the header, of the snapshot, and of the two batches before the last counts.
    assertThat(refused).isGreaterThan(1_800);
    assertThat(behind).isBetween(50, 200);
  }
}
