// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Keys and values that survive their writers.
 *
 * <p>A {@link #put} or {@link #delete} is seen by {@link #get} and {@link #list} of this object at
 * once, and is durable when a {@link #sync} that began later has returned. All changes that wait
 * for a sync become durable together or not at all; callers that wait at the same time share a
 * write.
 *
 * <p><b>Limits.</b> A key has 255 bytes, a value 65,536; the changes that wait for a sync 131,024
 * bytes, 16 more for each; all values as much as fits into a half of the area beside one batch.
 * What is too large is refused with {@link StoreException.Kind#FULL}, and nothing is changed.
 *
 * <p><b>When a write fails</b> nobody knows what is durable: every later call is refused with
 * {@link StoreException.Kind#BROKEN} until the store is opened again.
 *
 * <p><b>What the caller gives.</b> One object may write at a time, in the whole cluster: whoever
 * opens the store has made sure that every writer before is dead, or shut out, and sends nothing
 * new. What these had sent may still be on its way: {@link Earlier} says whether that is over.
 *
 * <p>Thread-safe. Calls wait no longer than the device's own time-outs.
 */
public final class StateStore implements Closeable {
  /** Bytes of memory that a {@link StoreArea} needs. */
  public static final int MEMORY_BYTES = Journal.BATCH_MAX;

  /** What is known of what earlier writers sent to the disk. */
  public enum Earlier {
    /**
     * It is carried out, or never will be: their keys were preempted and their commands aborted or
     * waited for; or each of them ended its requests itself; or longer has passed than any request
     * of this machine to this disk can take. A device that still has an earlier writer's request
     * ({@link org.mxfs.blockio.BlockDevice#inFlight}) has not ended it.
     */
    OVER,

    /**
     * Some of it may be carried out at any time from now on. The store opens all the same as long
     * as there is a place that none of them writes to: behind two such openings in a row, then it
     * is refused with {@link StoreException.Kind#RESTING}. Until {@link #earlierWritesAreOver} is
     * called it has one place only, and {@link #sync} is refused like that when it is full.
     */
    MAY_STILL_WRITE
  }

  private final RandomGenerator random;
  private final boolean writable;
  private final Journal journal;

  /** Guards all below; never held while the disk is written to. */
  private final ReentrantLock lock = new ReentrantLock();

  private final Condition written = lock.newCondition();

  /** Changed by the one thread for which {@link #writing} is true. */
  private final SortedMap<Key, Entry> durable;

  private final NavigableMap<Key, Entry> visible;
  private Map<Key, Journal.Change> waiting = new LinkedHashMap<>();
  private int waitingBytes;
  private long liveBytes;
  private long change;
  private long durableChange;
  private boolean writing;
  private boolean closed;
  private @Nullable Throwable failure;

  private StateStore(
      Journal journal, SortedMap<Key, Entry> durable, RandomGenerator random, boolean writable) {
    this.journal = journal;
    this.durable = durable;
    this.visible = new TreeMap<>(durable);
    this.random = random;
    this.writable = writable;
    this.change = journal.change();
    this.durableChange = change;
    durable.forEach((key, entry) -> liveBytes += Journal.entrySize(key, entry.length()));
  }

  /**
   * Makes an empty store, over whatever is there, a store included; durable on return. The writes
   * of all writers before have to be over ({@link Earlier#OVER}).
   *
   * @param id any; tools show it
   */
  public static void format(StoreArea area, UUID id, long epoch, RandomGenerator random)
      throws IOException {
    Journal.format(area, id, epoch, random);
  }

  /**
   * Opens a store for writing.
   *
   * @param epoch of the writer: not smaller than that of any before, or {@link
   *     StoreException.Kind#STALE}
   * @param random for numbers that must not come again
   * @throws StoreException {@code ABSENT}, {@code NEWER}, {@code CORRUPT}, {@code STALE}, {@code
   *     RESTING}, {@code BUSY}: nothing was written
   */
  public static StateStore open(StoreArea area, long epoch, Earlier earlier, RandomGenerator random)
      throws IOException {
    SortedMap<Key, Entry> durable = new TreeMap<>();
    Journal journal = Journal.open(area, durable);
    journal.takeOver(epoch, earlier == Earlier.OVER, durable, random);
    return new StateStore(journal, durable, random, true);
  }

  /** Reads a store that nobody writes to meanwhile, and writes nothing. */
  public static StateStore openForReading(StoreArea area) throws IOException {
    SortedMap<Key, Entry> durable = new TreeMap<>();
    Journal journal = Journal.open(area, durable);
    return new StateStore(journal, durable, new SplittableRandom(0), false);
  }

  /** The value of a key, or empty: there is no such key. */
  public Optional<Entry> get(Key key) throws StoreException {
    lock.lock();
    try {
      checkUsable();
      return Optional.ofNullable(visible.get(key));
    } finally {
      lock.unlock();
    }
  }

  /** The keys below a folder, in order. */
  public List<Key> list(Key folder) throws StoreException {
    lock.lock();
    try {
      checkUsable();
      List<Key> keys = new ArrayList<>();
      for (Key key : visible.tailMap(folder, false).keySet()) {
        if (key.isBelow(folder)) {
          keys.add(key);
        } else if (!key.toString().startsWith(folder.toString())) {
          break;
        }
      }
      return keys;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Gives a key a value.
   *
   * @return the number of this change
   */
  public long put(Key key, byte[] value) throws StoreException {
    if (key.equals(Key.ROOT)) {
      throw new IllegalArgumentException("the root has no value");
    }
    if (value.length > Journal.VALUE_MAX) {
      throw full(key, "a value of " + value.length + " bytes; the limit is " + Journal.VALUE_MAX);
    }
    lock.lock();
    try {
      checkWritable();
      Entry old = visible.get(key);
      int size = Journal.entrySize(key, value.length);
      long live = liveBytes + size - (old == null ? 0 : Journal.entrySize(key, old.length()));
      if (!journal.hasRoomFor(live)) {
        throw full(key, "the store is full: " + liveBytes + " bytes of keys and values are in it");
      }
      stage(new Journal.Change(key, value.clone(), change + 1));
      liveBytes = live;
      visible.put(key, new Entry(value.clone(), change));
      return change;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes a key away.
   *
   * @return whether there was one
   */
  public boolean delete(Key key) throws StoreException {
    lock.lock();
    try {
      checkWritable();
      Entry old = visible.get(key);
      if (old == null) {
        return false;
      }
      stage(new Journal.Change(key, null, change + 1));
      liveBytes -= Journal.entrySize(key, old.length());
      visible.remove(key);
      return true;
    } finally {
      lock.unlock();
    }
  }

  private void stage(Journal.Change one) throws StoreException {
    Journal.Change before = waiting.get(one.key());
    int bytes = waitingBytes + one.size() - (before == null ? 0 : before.size());
    if (!journal.hasNumberAfter(change)) {
      throw full(one.key(), "no number is left for it; open the store again");
    }
    if (bytes > Journal.PAYLOAD_MAX) {
      throw full(
          one.key(), waitingBytes + " bytes of changes wait to become durable; sync them first");
    }
    waiting.put(one.key(), one);
    waitingBytes = bytes;
    change = one.version();
  }

  /** Returns when every change that was made before is durable. */
  public void sync() throws IOException {
    lock.lock();
    try {
      checkWritable();
      long wanted = change;
      while (durableChange < wanted) {
        checkUsable();
        if (writing) {
          written.awaitUninterruptibly();
        } else {
          writeWaiting();
        }
      }
    } finally {
      lock.unlock();
    }
  }

  /** With the lock, which is left meanwhile. */
  private void writeWaiting() throws IOException {
    if (!journal.canAppend(waitingBytes)) {
      throw new StoreException(
          StoreException.Kind.RESTING,
          "this part of the store is full, and the others may still be written to by earlier ones");
    }
    Map<Key, Journal.Change> changes = waiting;
    long last = change;
    waiting = new LinkedHashMap<>();
    waitingBytes = 0;
    write(() -> journal.append(changes.values(), last, durable, random));
    durableChange = last;
    changes.forEach(
        (key, one) -> {
          if (one.value() == null) {
            durable.remove(key);
          } else {
            durable.put(key, new Entry(one.value(), one.version()));
          }
        });
  }

  /**
   * What all earlier writers sent to the disk is over, as {@link Earlier#OVER} has it; durable on
   * return.
   */
  public void earlierWritesAreOver() throws IOException {
    lock.lock();
    try {
      checkWritable();
      while (writing) {
        written.awaitUninterruptibly();
        checkUsable();
      }
      write(journal::earlierWritesAreOver);
    } finally {
      lock.unlock();
    }
  }

  @FunctionalInterface
  private interface Writing {
    void run() throws IOException;
  }

  /** With the lock, which is left meanwhile; one thread at a time. */
  private void write(Writing what) throws IOException {
    writing = true;
    lock.unlock();
    Throwable failed = null;
    try {
      what.run();
    } catch (IOException | RuntimeException | Error e) {
      failed = e;
    }
    lock.lock();
    writing = false;
    written.signalAll();
    if (failed != null) {
      failure = failed;
      throw broken(failed);
    }
  }

  private void checkWritable() throws StoreException {
    checkUsable();
    if (!writable) {
      throw new StoreException(
          StoreException.Kind.READ_ONLY, "the store was opened for reading only");
    }
  }

  private void checkUsable() throws StoreException {
    if (failure != null) {
      throw broken(failure);
    }
    if (closed) {
      throw new StoreException(StoreException.Kind.CLOSED, "the store was closed");
    }
  }

  private static StoreException broken(Throwable cause) {
    return new StoreException(
        StoreException.Kind.BROKEN,
        "what the store was told to keep may be lost, open it again: " + cause.getMessage(),
        cause);
  }

  private static StoreException full(Key key, String why) {
    return new StoreException(StoreException.Kind.FULL, "key " + key + ": " + why);
  }

  /** Waits for a write that is under way. What was not synced is not made durable. */
  @Override
  public void close() {
    lock.lock();
    try {
      closed = true;
      while (writing) {
        written.awaitUninterruptibly();
      }
      written.signalAll();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public String toString() {
    return "state store, " + journal;
  }
}
