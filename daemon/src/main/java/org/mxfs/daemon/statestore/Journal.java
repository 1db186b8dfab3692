// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import static org.mxfs.daemon.statestore.JournalLayout.BATCH_SIZE;
import static org.mxfs.daemon.statestore.JournalLayout.ENTRY_SIZE;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.SortedMap;
import java.util.UUID;
import java.util.random.RandomGenerator;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.wire.Layout.Field;

/**
 * The log on disk: two halves, of which one holds the store, as a snapshot and the batches behind
 * it.
 *
 * <p><b>What a crash leaves.</b> A batch is written to blocks that nothing durable uses, one batch
 * at a time, each followed by a flush. So the only batch that may be torn is the last, and it was
 * never told of as durable; whatever else does not check is damage, and is said, not skipped. When
 * a half is full, what is durable is written anew to the other one (snapshot, flush, its first
 * block, flush), and only then the first block of the old half is erased: one of the two is whole
 * at every instant, and no older state can be taken for the newest. The block that is erased is the
 * only one ever written over while it counts.
 *
 * <p><b>What it cannot see.</b> Damage to the very last batch alone looks like one that a crash
 * tore: the store is then one batch behind.
 *
 * <p>Each time the store is opened for writing it moves to the other half, under a new salt and
 * generation: what an earlier writer left behind its last batch, or still has under way, is never
 * part of it. Not thread-safe.
 */
final class Journal {
  /** Bytes of a batch, in memory and on disk. */
  static final int BATCH_MAX = 128 << 10;

  static final int VALUE_MAX = 64 << 10;
  static final int PAYLOAD_MAX = BATCH_MAX - BATCH_SIZE;
  private static final int ENTRY_MAX = ENTRY_SIZE + Key.LENGTH_MAX + VALUE_MAX;

  /** A change of one key. */
  record Change(Key key, byte @Nullable [] value, long version) {
    int size() {
      return entrySize(key, value == null ? 0 : value.length);
    }
  }

  /** What a half's first block says. */
  private sealed interface Head {
    record Empty() implements Head {}

    record Invalid(String why) implements Head {}

    record Newer(int version) implements Head {}

    record Valid(
        UUID store,
        long generation,
        long epoch,
        long salt,
        long sequence,
        long snapshotEnd,
        long change)
        implements Head {}
  }

  private record Batch(ByteBuffer entries, long change, int length) {}

  private final StoreArea area;
  private final ByteBuffer buffer;
  private final int blockSize;
  private final long halfBytes;
  private final CRC32C crc = new CRC32C();

  private int half;
  private UUID store = new UUID(0, 0);
  private long generation;
  private long epoch;
  private long salt;
  private long sequence;
  private long change;
  private long end;

  private Journal(StoreArea area) throws StoreException {
    this.area = area;
    this.buffer = area.memory().asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    this.blockSize = area.blockSize();
    this.halfBytes = area.size() / 2 / blockSize * blockSize;
    if (halfBytes < smallestHalf(blockSize)) {
      throw new StoreException(
          StoreException.Kind.FULL,
          area + " has no room for a store: " + 2 * smallestHalf(blockSize) + " bytes are needed");
    }
  }

  private static long smallestHalf(int blockSize) {
    return blockSize + 2L * BATCH_MAX;
  }

  static int entrySize(Key key, int valueLength) {
    return ENTRY_SIZE + key.length() + valueLength;
  }

  /** Makes an empty store, over whatever is there. */
  static void format(StoreArea area, UUID store, long epoch, RandomGenerator random)
      throws IOException {
    Journal journal = new Journal(area);
    journal.erase(0);
    journal.erase(1);
    area.flush();
    journal.store = store;
    journal.epoch = epoch;
    journal.half = 1;
    journal.startOver(List.of(), random);
  }

  /**
   * Finds the store.
   *
   * @param durable is given what is in it
   */
  static Journal open(StoreArea area, SortedMap<Key, Entry> durable) throws IOException {
    Journal journal = new Journal(area);
    journal.choose();
    journal.replay(durable);
    return journal;
  }

  /** Takes an opened store over for writing, and gets rid of what earlier writers left. */
  void takeOver(long newEpoch, SortedMap<Key, Entry> durable, RandomGenerator random)
      throws IOException {
    if (newEpoch < epoch) {
      throw new StoreException(
          StoreException.Kind.STALE,
          "the store was last written in epoch " + epoch + "; this is " + newEpoch);
    }
    epoch = newEpoch;
    erase(1 - half);
    area.flush();
    startOver(changes(durable), random);
  }

  long change() {
    return change;
  }

  long epoch() {
    return epoch;
  }

  /** Whether entries of so many bytes can always be written anew, with a batch behind them. */
  boolean hasRoomFor(long liveBytes) {
    long batches = liveBytes / (PAYLOAD_MAX - ENTRY_MAX) + 1;
    return blockSize + liveBytes + batches * (BATCH_SIZE + blockSize) + BATCH_MAX <= halfBytes;
  }

  /**
   * Makes changes durable, all or none.
   *
   * @param changes of {@link #PAYLOAD_MAX} bytes at most
   * @param durable what is durable without them
   */
  void append(
      Collection<Change> changes,
      long lastChange,
      SortedMap<Key, Entry> durable,
      RandomGenerator random)
      throws IOException {
    int payload = changes.stream().mapToInt(Change::size).sum();
    if (end + inBlocks(BATCH_SIZE + payload) > halfBytes) {
      startOver(changes(durable), random);
    }
    change = lastChange;
    end += writeBatch(half, end, changes);
    area.flush();
  }

  private static List<Change> changes(SortedMap<Key, Entry> durable) {
    List<Change> changes = new ArrayList<>(durable.size());
    durable.forEach((key, entry) -> changes.add(new Change(key, entry.bytes(), entry.version())));
    return changes;
  }

  private void startOver(List<Change> snapshot, RandomGenerator random) throws IOException {
    int other = 1 - half;
    long first = sequence;
    salt = random.nextLong();
    long at = blockSize;
    int from = 0;
    while (from < snapshot.size()) {
      int to = from;
      for (int bytes = 0; to < snapshot.size(); to++) {
        bytes += snapshot.get(to).size();
        if (bytes > PAYLOAD_MAX) {
          break;
        }
      }
      at += writeBatch(other, at, snapshot.subList(from, to));
      from = to;
    }
    area.flush();
    generation++;
    writeHead(other, first, at);
    area.flush();
    erase(half);
    area.flush();
    half = other;
    end = at;
  }

  private void erase(int which) throws IOException {
    area.memory().asSlice(0, blockSize).fill((byte) 0);
    area.write(which * halfBytes, blockSize);
  }

  private void writeHead(int which, long first, long snapshotEnd) throws IOException {
    area.memory().asSlice(0, blockSize).fill((byte) 0);
    JournalLayout.HALF_MAGIC_FIELD.put(buffer, 0, JournalLayout.HALF_MAGIC);
    JournalLayout.HALF_VERSION.put(buffer, 0, JournalLayout.VERSION);
    JournalLayout.HALF_STORE.putUuid(buffer, 0, store);
    JournalLayout.HALF_GENERATION.put(buffer, 0, generation);
    JournalLayout.HALF_EPOCH.put(buffer, 0, epoch);
    JournalLayout.HALF_SALT.put(buffer, 0, salt);
    JournalLayout.HALF_BYTES.put(buffer, 0, halfBytes);
    JournalLayout.HALF_SEQUENCE.put(buffer, 0, first);
    JournalLayout.HALF_SNAPSHOT.put(buffer, 0, snapshotEnd);
    JournalLayout.HALF_CHANGE.put(buffer, 0, change);
    JournalLayout.HALF_CRC.put(buffer, 0, checksum(0, JournalLayout.HALF_CRC.offset()));
    area.write(which * halfBytes, blockSize);
  }

  /** Returns the bytes that it took. */
  private int writeBatch(int which, long position, Collection<Change> changes) throws IOException {
    int at = BATCH_SIZE;
    for (Change one : changes) {
      at += encode(one, at);
    }
    int length = inBlocks(at);
    area.memory().asSlice(at, length - at).fill((byte) 0);
    JournalLayout.BATCH_MAGIC_FIELD.put(buffer, 0, JournalLayout.BATCH_MAGIC);
    JournalLayout.BATCH_VERSION.put(buffer, 0, JournalLayout.VERSION);
    JournalLayout.BATCH_RESERVED.put(buffer, 0, 0);
    JournalLayout.BATCH_SALT.put(buffer, 0, salt);
    JournalLayout.BATCH_SEQUENCE.put(buffer, 0, sequence);
    JournalLayout.BATCH_POSITION.put(buffer, 0, position);
    JournalLayout.BATCH_CHANGE.put(buffer, 0, change);
    JournalLayout.BATCH_BYTES.put(buffer, 0, at - BATCH_SIZE);
    JournalLayout.BATCH_CRC.put(buffer, 0, batchChecksum(0, at - BATCH_SIZE));
    area.write(which * halfBytes + position, length);
    sequence++;
    return length;
  }

  private int encode(Change one, int at) {
    byte[] value = one.value == null ? new byte[0] : one.value;
    JournalLayout.ENTRY_KIND.put(
        buffer, at, one.value == null ? JournalLayout.DELETE : JournalLayout.PUT);
    JournalLayout.ENTRY_KEY.put(buffer, at, one.key.length());
    JournalLayout.ENTRY_VALUE.put(buffer, at, value.length);
    JournalLayout.ENTRY_VERSION.put(buffer, at, one.version);
    buffer.put(at + ENTRY_SIZE, one.key.bytes());
    buffer.put(at + ENTRY_SIZE + one.key.length(), value);
    return one.size();
  }

  private long checksum(int from, int length) {
    crc.reset();
    crc.update(buffer.slice(from, length));
    return crc.getValue();
  }

  private long batchChecksum(int at, int payload) {
    crc.reset();
    crc.update(buffer.slice(at, JournalLayout.BATCH_CRC.offset()));
    crc.update(buffer.slice(at + BATCH_SIZE, payload));
    return crc.getValue();
  }

  private int inBlocks(int bytes) {
    return (bytes + blockSize - 1) / blockSize * blockSize;
  }

  // Finding the store

  private void choose() throws IOException {
    Head first = readHead(0);
    Head second = readHead(1);
    for (Head head : List.of(first, second)) {
      if (head instanceof Head.Newer(int version)) {
        throw new StoreException(
            StoreException.Kind.NEWER,
            "the store has format " + version + "; this version knows " + JournalLayout.VERSION);
      }
    }
    if (first instanceof Head.Empty && second instanceof Head.Empty) {
      throw new StoreException(StoreException.Kind.ABSENT, "there is no store in " + area);
    }
    if (first instanceof Head.Valid a && second instanceof Head.Valid b) {
      if (!a.store.equals(b.store) || a.generation == b.generation) {
        throw corrupt("its halves are of two stores: " + a + ", " + b);
      }
      half = a.generation > b.generation ? 0 : 1;
      take(half == 0 ? a : b);
    } else if (first instanceof Head.Valid a) {
      half = 0;
      take(a);
    } else if (second instanceof Head.Valid b) {
      half = 1;
      take(b);
    } else {
      throw corrupt("neither half begins as it should: " + first + ", " + second);
    }
  }

  private void take(Head.Valid head) {
    store = head.store;
    generation = head.generation;
    epoch = head.epoch;
    salt = head.salt;
    sequence = head.sequence;
    change = head.change;
    end = head.snapshotEnd;
  }

  private Head readHead(int which) throws IOException {
    area.read(which * halfBytes, blockSize);
    if (area.memory().asSlice(0, blockSize).mismatch(zeros(blockSize)) < 0) {
      return new Head.Empty();
    }
    if (number(JournalLayout.HALF_MAGIC_FIELD) != JournalLayout.HALF_MAGIC) {
      return new Head.Invalid("no magic number");
    }
    int version = (int) number(JournalLayout.HALF_VERSION);
    if (version != JournalLayout.VERSION) {
      return version > JournalLayout.VERSION
          ? new Head.Newer(version)
          : new Head.Invalid("version " + version);
    }
    if (number(JournalLayout.HALF_CRC) != checksum(0, JournalLayout.HALF_CRC.offset())) {
      return new Head.Invalid("checksum");
    }
    long bytes = number(JournalLayout.HALF_BYTES);
    long snapshotEnd = number(JournalLayout.HALF_SNAPSHOT);
    if (bytes != halfBytes
        || snapshotEnd < blockSize
        || snapshotEnd > halfBytes
        || snapshotEnd % blockSize != 0) {
      return new Head.Invalid(
          "made for %d bytes, with a snapshot to %d; here are %d"
              .formatted(bytes, snapshotEnd, halfBytes));
    }
    return new Head.Valid(
        JournalLayout.HALF_STORE.getUuid(buffer, 0),
        number(JournalLayout.HALF_GENERATION),
        number(JournalLayout.HALF_EPOCH),
        number(JournalLayout.HALF_SALT),
        number(JournalLayout.HALF_SEQUENCE),
        snapshotEnd,
        number(JournalLayout.HALF_CHANGE));
  }

  private static MemorySegment zeros(int size) {
    return MemorySegment.ofArray(new byte[size]);
  }

  private long number(Field field) {
    return field.get(buffer, 0);
  }

  // Reading it

  /** Position in the half of what the buffer holds, and how much. */
  private long windowStart;

  private int windowLength;

  private void replay(SortedMap<Key, Entry> durable) throws IOException {
    long snapshotEnd = end;
    long headChange = change;
    long at = blockSize;
    windowLength = 0;
    while (at < halfBytes) {
      Batch batch = readBatch(at);
      if (batch == null) {
        break;
      }
      apply(batch, at, durable);
      change = batch.change;
      sequence++;
      at += batch.length;
    }
    if (at < snapshotEnd) {
      throw corrupt("batch at " + at + " of half " + half + ", in the snapshot, does not check");
    }
    if (at == snapshotEnd) {
      change = headChange;
    }
    end = at;
    lookBehind(at);
  }

  /** A batch behind the end of the log says that one before it was durable and is damaged. */
  private void lookBehind(long from) throws IOException {
    for (long at = from + blockSize; at < halfBytes; at += blockSize) {
      int base = load(at, blockSize);
      if (claimsToBe(base, at)) {
        throw corrupt(
            "batch at %d of half %d does not check, and one at %d is behind it"
                .formatted(from, half, at));
      }
    }
  }

  private boolean claimsToBe(int base, long position) {
    return JournalLayout.BATCH_MAGIC_FIELD.get(buffer, base) == JournalLayout.BATCH_MAGIC
        && JournalLayout.BATCH_SALT.get(buffer, base) == salt
        && JournalLayout.BATCH_POSITION.get(buffer, base) == position;
  }

  /** The batch at a position, or null where none was written to the end. */
  private @Nullable Batch readBatch(long at) throws IOException {
    int base = load(at, blockSize);
    if (!claimsToBe(base, at)) {
      return null;
    }
    int version = (int) JournalLayout.BATCH_VERSION.get(buffer, base);
    long payload = JournalLayout.BATCH_BYTES.get(buffer, base);
    if (payload > PAYLOAD_MAX || at + inBlocks(BATCH_SIZE + (int) payload) > halfBytes) {
      return null;
    }
    int length = inBlocks(BATCH_SIZE + (int) payload);
    base = load(at, length);
    if (JournalLayout.BATCH_CRC.get(buffer, base) != batchChecksum(base, (int) payload)
        || JournalLayout.BATCH_SEQUENCE.get(buffer, base) != sequence) {
      return null;
    }
    if (version != JournalLayout.VERSION) {
      throw new StoreException(
          version > JournalLayout.VERSION ? StoreException.Kind.NEWER : StoreException.Kind.CORRUPT,
          "batch at " + at + " of half " + half + " has format " + version);
    }
    return new Batch(
        buffer.slice(base + BATCH_SIZE, (int) payload).order(ByteOrder.LITTLE_ENDIAN),
        JournalLayout.BATCH_CHANGE.get(buffer, base),
        length);
  }

  /** Sees to it that the buffer holds a range, and returns where in it the range begins. */
  private int load(long at, int length) throws IOException {
    if (at < windowStart || at + length > windowStart + windowLength) {
      windowLength = 0;
      int wanted = (int) Math.min(BATCH_MAX, halfBytes - at);
      area.read(half * halfBytes + at, wanted);
      windowStart = at;
      windowLength = wanted;
    }
    return (int) (at - windowStart);
  }

  private void apply(Batch batch, long position, SortedMap<Key, Entry> durable)
      throws StoreException {
    ByteBuffer entries = batch.entries;
    int size = entries.capacity();
    int at = 0;
    while (at < size) {
      if (size - at < ENTRY_SIZE) {
        throw malformed(position, at, "it ends early");
      }
      int kind = (int) JournalLayout.ENTRY_KIND.get(entries, at);
      int keyBytes = (int) JournalLayout.ENTRY_KEY.get(entries, at);
      long valueBytes = JournalLayout.ENTRY_VALUE.get(entries, at);
      long version = JournalLayout.ENTRY_VERSION.get(entries, at);
      at += ENTRY_SIZE;
      if (valueBytes > VALUE_MAX || size - at < keyBytes + valueBytes) {
        throw malformed(position, at, keyBytes + " and " + valueBytes + " bytes");
      }
      Key key = key(entries, at, keyBytes, position);
      at += keyBytes;
      byte[] value = new byte[(int) valueBytes];
      entries.get(at, value);
      at += value.length;
      if (kind == JournalLayout.PUT) {
        durable.put(key, new Entry(value, version));
      } else if (kind == JournalLayout.DELETE && value.length == 0) {
        durable.remove(key);
      } else {
        throw malformed(position, at, "kind " + kind);
      }
    }
  }

  private Key key(ByteBuffer entries, int at, int length, long position) throws StoreException {
    byte[] bytes = new byte[length];
    entries.get(at, bytes);
    String written = new String(bytes, StandardCharsets.ISO_8859_1);
    try {
      Key key = Key.of(written);
      if (key.toString().equals(written)) {
        return key;
      }
    } catch (IllegalArgumentException e) {
      throw malformed(position, at, e.getMessage());
    }
    throw malformed(position, at, "key '" + written + "' is not in its normal form");
  }

  private StoreException malformed(long position, int at, @Nullable String what) {
    return corrupt(
        "batch at %d of half %d checks, but its entry at %d does not: %s"
            .formatted(position, half, at, what));
  }

  private StoreException corrupt(String what) {
    return new StoreException(StoreException.Kind.CORRUPT, "the store in " + area + ": " + what);
  }

  /** For tests and tools: what is where. */
  @Override
  public String toString() {
    return "half %d, generation %d, epoch %d, sequence %d, %d of %d bytes"
        .formatted(half, generation, epoch, sequence, end, halfBytes);
  }
}
