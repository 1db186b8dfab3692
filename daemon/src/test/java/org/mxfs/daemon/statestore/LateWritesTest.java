// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;
import static org.mxfs.daemon.statestore.WholeDevice.area;

import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.blockio.BlockDevice;
import org.mxfs.blockio.FaultyBlockDevice;
import org.mxfs.blockio.FaultyBlockDevice.Fault;
import org.mxfs.blockio.MemoryBlockDevice;
import org.mxfs.blockio.Operation;

/**
 * A writer is killed with a write under way, and the disk carries it out whenever it likes: while
 * the next one works, or the one after that. What these have synced must stay.
 */
@Timeout(180)
class LateWritesTest {
  private static final int SIZE = 1600 << 10;
  private static final int BLOCK = 16 << 10;

  /** What a dead writer had sent. */
  private record Late(long offset, byte[] bytes) {}

  /** A disk in memory whose users are killed. */
  private static final class Disk implements Closeable {
    private final MemoryBlockDevice device =
        MemoryBlockDevice.create(SIZE, BLOCK, 2L * StateStore.MEMORY_BYTES);

    private final FaultyBlockDevice front =
        FaultyBlockDevice.over(
            device, (number, operation, offset, length) -> decide(operation, offset, length));

    private final List<Late> late = new ArrayList<>();
    private long left = Long.MAX_VALUE;
    private boolean dead;

    /**
     * Nothing of what the writer sends after {@code limit} requests is carried out in its life, and
     * what it sends first of that later.
     */
    BlockDevice upTo(long limit) {
      left = limit;
      dead = false;
      return front;
    }

    private Fault decide(Operation operation, long offset, long length) {
      if (left-- > 0) {
        return new Fault.None();
      }
      if (!dead && operation == Operation.WRITE) {
        MemorySegment memory = device.buffers().asSlice(0, length);
        late.add(new Late(offset, memory.toArray(ValueLayout.JAVA_BYTE)));
      }
      dead = true;
      return new Fault.Fails(Errnos.ENOTRECOVERABLE);
    }

    /** Whoever works on it was killed: anything else that goes wrong is a fault of the store. */
    boolean hasKilled() {
      return dead;
    }

    @Override
    public void close() throws IOException {
      front.close();
    }

    void land(Late one) throws IOException {
      MemorySegment memory = device.buffers().asSlice(StateStore.MEMORY_BYTES, one.bytes().length);
      MemorySegment.copy(one.bytes(), 0, memory, ValueLayout.JAVA_BYTE, 0, one.bytes().length);
      device.write(one.offset(), memory);
      late.remove(one);
    }

    void landAll() throws IOException {
      for (Late one : List.copyOf(late)) {
        land(one);
      }
    }
  }

  /** The store, or null: it has to rest. */
  private static @Nullable StateStore open(BlockDevice device, boolean over, long salt)
      throws IOException {
    try {
      return StateStore.open(
          area(device),
          1,
          over ? StateStore.Earlier.OVER : StateStore.Earlier.MAY_STILL_WRITE,
          new SplittableRandom(salt));
    } catch (StoreException e) {
      if (e.kind() == StoreException.Kind.RESTING) {
        return null;
      }
      throw e;
    }
  }

  private static StateStore opened(BlockDevice device, boolean over, long salt, String when)
      throws IOException {
    StateStore store = open(device, over, salt);
    if (store == null) {
      throw new AssertionError(when + ": it has to rest");
    }
    return store;
  }

  /** What was synced, and what may have been. */
  private static final class Truth {
    private final Map<Key, Long> synced = new HashMap<>();
    private final Map<Key, Set<Long>> perhaps = new HashMap<>();
    private final Set<Long> numbers = new HashSet<>();
    private int turn;

    /** Returns false where it had to rest. */
    boolean work(StateStore store, int changes) throws IOException {
      for (int i = 0; i < changes; i++) {
        Key key = Key.of("/k" + turn++ % 3);
        long version = store.put(key, new byte[20_000 + turn]);
        if (!numbers.add(version)) {
          fail("number " + version + " was used before");
        }
        perhaps.computeIfAbsent(key, _ -> new HashSet<>()).add(version);
        try {
          store.sync();
        } catch (StoreException e) {
          if (e.kind() == StoreException.Kind.RESTING) {
            return false;
          }
          throw e;
        }
        synced.put(key, version);
        perhaps.clear();
      }
      return true;
    }

    void check(StateStore store, String when) throws IOException {
      synced.replaceAll(
          (key, last) -> {
            long found = versionOf(store, key);
            if (found != last && !perhaps.getOrDefault(key, Set.of()).contains(found)) {
              fail(when + ": " + key + " is " + found + ", synced was " + last);
            }
            return found;
          });
      perhaps.clear();
    }
  }

  private static long versionOf(StateStore store, Key key) {
    try {
      return store.get(key).map(Entry::version).orElse(-1L);
    } catch (StoreException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Works up to so many requests, and tells whether it lived to the end. */
  private static boolean lives(Disk disk, long limit, boolean over, long salt, Truth truth)
      throws IOException {
    BlockDevice device = disk.upTo(limit);
    try {
      StateStore store = open(device, over, salt);
      if (store != null) {
        truth.check(store, "writer " + salt);
        truth.work(store, 24);
      }
    } catch (IOException killed) {
      mustBeAKill(disk, killed, "writer " + salt + ", killed after " + limit);
      return false;
    }
    assertThat(disk.hasKilled()).as("a request failed and nobody was told").isFalse();
    return true;
  }

  /** The error is that of the request that failed, and of nothing else. */
  private static void mustBeAKill(Disk disk, IOException error, String when) {
    boolean isKill = false;
    for (Throwable cause = error; cause != null && !isKill; cause = cause.getCause()) {
      isKill = cause instanceof ErrnoException e && e.errno() == Errnos.ENOTRECOVERABLE;
    }
    if (error instanceof StoreException e) {
      isKill &= e.kind() == StoreException.Kind.BROKEN;
    }
    if (!isKill || !disk.hasKilled()) {
      throw new AssertionError(when, error);
    }
  }

  private static Disk made() throws IOException {
    Disk disk = new Disk();
    StateStore.format(area(disk.device), new UUID(4, 5), 1, new SplittableRandom(4));
    return disk;
  }

  /**
   * Each request of a writer in turn is the last that it sends; it is carried out after so many
   * syncs of its successor, or when that is gone.
   */
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 100})
  void theLastWriteOfAKilledWriterDoesNoHarmWheneverItIsCarriedOut(int after) throws IOException {
    int kills = 0;
    for (long limit = 0; ; limit++) {
      Disk disk = made();
      Truth truth = new Truth();
      truth.work(opened(disk.device, true, 5, "at first"), 2);
      if (lives(disk, limit, true, 6, truth)) {
        disk.close();
        break;
      }
      kills += disk.late.size();
      String when = "killed before request " + limit;
      StateStore next = opened(disk.device, false, 7, when);
      truth.check(next, when);
      truth.work(next, Math.min(after, 3));
      disk.landAll();
      truth.work(next, 3);
      next.earlierWritesAreOver();
      assertThat(truth.work(next, 20)).as(when).isTrue();
      next.close();
      StateStore last = opened(disk.device, true, 8, when);
      truth.check(last, when + ", at the end");
      disk.close();
    }
    assertThat(kills).isGreaterThan(20);
  }

  /** Several are killed one after the other, and what they sent is carried out in any order. */
  @Test
  void soDoThoseOfSeveralThatAreKilledOneAfterTheOther() throws IOException {
    int rests = 0;
    int late = 0;
    int seeds = Integer.getInteger("mxfs.store.seeds", 200);
    for (int seed = 0; seed < seeds; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      Disk disk = made();
      Truth truth = new Truth();
      for (int writer = 0; writer < 12; writer++) {
        boolean over = disk.late.isEmpty() && random.nextBoolean();
        String when = "seed " + seed + ", writer " + writer;
        int limit = random.nextInt(4) == 0 ? random.nextInt(40) : 28 + random.nextInt(60);
        BlockDevice device = disk.upTo(limit);
        try {
          StateStore store = open(device, over, 100L * seed + writer);
          if (store == null) {
            rests++;
            assertThat(over).as(when).isFalse();
            disk.landAll();
            store = opened(device, true, 100L * seed + writer, when);
          }
          truth.check(store, when);
          boolean told = over;
          for (int i = 0; i < 20; i++) {
            if (!disk.late.isEmpty() && random.nextInt(8) == 0) {
              disk.land(disk.late.get(random.nextInt(disk.late.size())));
            }
            if (!told && disk.late.isEmpty() && random.nextInt(4) == 0) {
              store.earlierWritesAreOver();
              told = true;
            }
            if (!truth.work(store, 1)) {
              break;
            }
          }
        } catch (IOException killed) {
          mustBeAKill(disk, killed, when);
        }
        late = Math.max(late, disk.late.size());
      }
      disk.landAll();
      String end = "seed " + seed + ", at the end";
      truth.check(opened(disk.device, true, 99, end), end);
      disk.close();
    }
    assertThat(rests).isGreaterThan(seeds / 4);
    assertThat(late).isGreaterThan(1);
  }
}
