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
import java.util.BitSet;
import java.util.Collection;
import java.util.List;
import java.util.SortedMap;
import java.util.UUID;
import java.util.random.RandomGenerator;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.daemon.wire.Layout.Field;

/**
 * The log on disk: a ring of claims and four segments, of which one holds the store, as a snapshot
 * and the batches behind it.
 *
 * <p><b>What a crash leaves.</b> A batch is written to blocks that nothing durable uses, one batch
 * at a time, each followed by a flush. So the only batch that may be torn is the last, and it was
 * never told of as durable; whatever else does not check is damage, and is said, not skipped. When
 * a segment is full, what is durable is written anew to another one: snapshot, flush, its head,
 * flush, the second copy of its head, flush. From the first head on the new segment is the store;
 * nothing is added to it before the second one is there, so while one of the two is lost the other
 * says the same, or the segment before still does. A segment of which neither copy checks may have
 * been the newest: then nothing is believed.
 *
 * <p><b>What it cannot see.</b> Damage to the very last batch alone looks like one that a crash
 * tore: the store is then one batch behind. (A block there that cannot be read at all is said.)
 *
 * <p><b>Writers that are dead and still write.</b> What a killed process, or a node that was shut
 * out, had sent to the disk may be carried out long after its successor has opened the store. No
 * order of writes and no number helps against that once both write to one place: the later one
 * destroys. So no writer touches a place where an earlier one may still have something under way:
 *
 * <ul>
 *   <li>Each opening has a number, one more than the highest claim. It writes this claim to a block
 *       that follows from the number, and waits until it is durable, before anything else. A writer
 *       that dies before that has this one write under way at most, and whoever takes the same
 *       number writes the same there.
 *   <li>Opening {@code n} writes to segment {@code n} mod 4. To segment {@code n - 1} mod 4 it
 *       writes only once it knows that the writes of all earlier ones are over. So if {@code r} is
 *       the first one whose writes may not be over, {@code n} is not in the way of any as long as
 *       {@code n - r} is 2 at most. A claim carries {@code r} on; beyond that the store is not
 *       opened.
 *   <li>Of two heads the one of the later opening counts, whenever it was carried out. A head that
 *       an earlier writer had under way can only stand where its own successor does not look.
 * </ul>
 *
 * <p>The number of an opening is the high part of the number of each change that it makes: what was
 * told of and lost before it was durable is never used again. Not thread-safe.
 */
final class Journal {
  static final int SEGMENTS = 4;
  static final int CLAIMS = 8;

  /** So many openings before may have writes under way. */
  static final int UNDECIDED_MAX = SEGMENTS - 2;

  /** Bits of a change's number that count the changes of one opening. */
  private static final int CHANGE_BITS = 36;

  private static final long OPENINGS_MAX = 1L << (63 - CHANGE_BITS);

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

  /** What a block says that should be a head. */
  private sealed interface Head {
    record Empty() implements Head {}

    record Invalid(String why) implements Head {}

    record Newer(int version) implements Head {}

    record Valid(
        UUID store,
        long opening,
        long generation,
        long epoch,
        long salt,
        long sequence,
        long snapshotEnd,
        long change)
        implements Head {
      boolean isLaterThan(Valid other) {
        return opening != other.opening ? opening > other.opening : generation > other.generation;
      }
    }
  }

  private record Batch(ByteBuffer entries, long change, int length) {}

  private final StoreArea area;
  private final ByteBuffer buffer;
  private final int blockSize;
  private final long segmentBytes;

  /** Position in a segment behind the last batch: of the second head. */
  private final long limit;

  private final CRC32C crc = new CRC32C();

  private int segment;
  private UUID store = new UUID(0, 0);
  private long opening;
  private long generation;
  private long epoch;
  private long salt;
  private long sequence;
  private long change;
  private long end;

  private long highestClaim;

  /** The writes of all openings below this one are over. */
  private long overBefore;

  /** Claims that do not check: each may have been the highest. */
  private final BitSet damagedClaims = new BitSet(CLAIMS);

  private Journal(StoreArea area) throws StoreException {
    this.area = area;
    this.buffer = area.memory().asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    this.blockSize = area.blockSize();
    this.segmentBytes =
        (area.size() - (long) CLAIMS * blockSize) / SEGMENTS / blockSize * blockSize;
    this.limit = segmentBytes - blockSize;
    if (segmentBytes < smallestSegment(blockSize)) {
      throw new StoreException(
          StoreException.Kind.FULL,
          area + " has no room for a store: " + smallestArea(blockSize) + " bytes are needed");
    }
  }

  private static long smallestSegment(int blockSize) {
    return 2L * blockSize + 2L * BATCH_MAX;
  }

  private static long smallestArea(int blockSize) {
    return (long) CLAIMS * blockSize + SEGMENTS * smallestSegment(blockSize);
  }

  static int entrySize(Key key, int valueLength) {
    return ENTRY_SIZE + key.length() + valueLength;
  }

  /** Makes an empty store, over whatever is there. */
  static void format(StoreArea area, UUID store, long epoch, RandomGenerator random)
      throws IOException {
    Journal journal = new Journal(area);
    for (int which : journal.oldestFirst()) {
      journal.erase(journal.headAt(which, 0));
      journal.erase(journal.headAt(which, 1));
      area.flush();
    }
    for (int i = 0; i < CLAIMS; i++) {
      journal.erase((long) i * journal.blockSize);
    }
    area.flush();
    journal.store = store;
    journal.epoch = epoch;
    journal.segment = -1;
    journal.begin(1, 1, List.of(), random);
  }

  /** The segments, the one that is the store last: while they are erased no older one comes up. */
  private List<Integer> oldestFirst() throws IOException {
    List<Integer> order = new ArrayList<>();
    Head.@Nullable Valid latest = null;
    for (int which = 0; which < SEGMENTS; which++) {
      Head.Valid valid = null;
      for (int copy = 0; copy < 2; copy++) {
        if (readHead(which, copy) instanceof Head.Valid head) {
          valid = head;
        }
      }
      boolean last = valid != null && (latest == null || valid.isLaterThan(latest));
      latest = last ? valid : latest;
      order.add(last ? order.size() : 0, which);
    }
    return order;
  }

  /**
   * Finds the store.
   *
   * @param durable is given what is in it
   */
  static Journal open(StoreArea area, SortedMap<Key, Entry> durable) throws IOException {
    Journal journal = new Journal(area);
    journal.choose();
    journal.readClaims();
    journal.replay(durable);
    return journal;
  }

  /**
   * Takes an opened store over for writing.
   *
   * @param over the writes of all writers before are over
   */
  void takeOver(long newEpoch, boolean over, SortedMap<Key, Entry> durable, RandomGenerator random)
      throws IOException {
    if (newEpoch < epoch) {
      throw new StoreException(
          StoreException.Kind.STALE,
          "the store was last written in epoch " + epoch + "; this is " + newEpoch);
    }
    long next = Math.max(highestClaim, opening) + 1;
    while (damagedClaims.get((int) (next % CLAIMS))) {
      next++;
    }
    if (next >= OPENINGS_MAX) {
      throw new StoreException(
          StoreException.Kind.FULL, "the store was opened " + (next - 1) + " times");
    }
    boolean homeIsInUse = next % SEGMENTS == segment;
    if (!over && (next - overBefore > UNDECIDED_MAX || homeIsInUse)) {
      throw new StoreException(
          StoreException.Kind.RESTING,
          "what writers since opening %d have sent to the disk may not be over; this is opening %d"
              .formatted(overBefore, next));
    }
    epoch = newEpoch;
    begin(next, over ? next : overBefore, changes(durable), random);
  }

  private void begin(long number, long over, List<Change> snapshot, RandomGenerator random)
      throws IOException {
    opening = number;
    overBefore = over;
    writeClaim();
    area.flush();
    change = number << CHANGE_BITS;
    startOver(snapshot, random);
  }

  /** Writes that earlier openings had under way are over. */
  void earlierWritesAreOver() throws IOException {
    if (overBefore != opening) {
      overBefore = opening;
      writeClaim();
      area.flush();
    }
  }

  long change() {
    return change;
  }

  /** Whether a change can have a number after this one. */
  boolean hasNumberAfter(long last) {
    return last + 1 < (opening + 1) << CHANGE_BITS;
  }

  long epoch() {
    return epoch;
  }

  /** Whether entries of so many bytes can always be written anew, with a batch behind them. */
  boolean hasRoomFor(long liveBytes) {
    long batches = liveBytes / (PAYLOAD_MAX - ENTRY_MAX) + 1;
    return blockSize + liveBytes + batches * (BATCH_SIZE + blockSize) + BATCH_MAX <= limit;
  }

  /** Whether changes of so many bytes can be made durable now. */
  boolean canAppend(int payload) {
    return fits(payload) || overBefore == opening;
  }

  private boolean fits(int payload) {
    return end + inBlocks(BATCH_SIZE + payload) <= limit;
  }

  /**
   * Makes changes durable, all or none.
   *
   * @param changes of {@link #PAYLOAD_MAX} bytes at most, for which {@link #canAppend} was true
   * @param durable what is durable without them
   */
  void append(
      Collection<Change> changes,
      long lastChange,
      SortedMap<Key, Entry> durable,
      RandomGenerator random)
      throws IOException {
    if (!fits(payload(changes))) {
      startOver(changes(durable), random);
    }
    change = lastChange;
    end += writeBatch(segment, end, changes);
    area.flush();
  }

  static int payload(Collection<Change> changes) {
    return changes.stream().mapToInt(Change::size).sum();
  }

  private static List<Change> changes(SortedMap<Key, Entry> durable) {
    List<Change> changes = new ArrayList<>(durable.size());
    durable.forEach((key, entry) -> changes.add(new Change(key, entry.bytes(), entry.version())));
    return changes;
  }

  private void startOver(List<Change> snapshot, RandomGenerator random) throws IOException {
    int home = (int) (opening % SEGMENTS);
    int other = segment == home ? (int) ((opening - 1) % SEGMENTS) : home;
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
    for (int copy = 0; copy < 2; copy++) {
      writeHead(headAt(other, copy), first, at);
      area.flush();
    }
    segment = other;
    end = at;
  }

  /** Where a segment begins in the area. */
  private long start(int which) {
    return (long) CLAIMS * blockSize + which * segmentBytes;
  }

  private long headAt(int which, int copy) {
    return start(which) + (copy == 0 ? 0 : limit);
  }

  private void erase(long position) throws IOException {
    area.memory().asSlice(0, blockSize).fill((byte) 0);
    area.write(position, blockSize);
  }

  private void writeClaim() throws IOException {
    area.memory().asSlice(0, blockSize).fill((byte) 0);
    JournalLayout.CLAIM_MAGIC_FIELD.put(buffer, 0, JournalLayout.CLAIM_MAGIC);
    JournalLayout.CLAIM_VERSION.put(buffer, 0, JournalLayout.VERSION);
    JournalLayout.CLAIM_STORE.putUuid(buffer, 0, store);
    JournalLayout.CLAIM_OPENING.put(buffer, 0, opening);
    JournalLayout.CLAIM_OVER.put(buffer, 0, overBefore);
    JournalLayout.CLAIM_CRC.put(buffer, 0, checksum(0, JournalLayout.CLAIM_CRC.offset()));
    area.write(opening % CLAIMS * blockSize, blockSize);
  }

  private void writeHead(long position, long first, long snapshotEnd) throws IOException {
    area.memory().asSlice(0, blockSize).fill((byte) 0);
    JournalLayout.HEAD_MAGIC_FIELD.put(buffer, 0, JournalLayout.HEAD_MAGIC);
    JournalLayout.HEAD_VERSION.put(buffer, 0, JournalLayout.VERSION);
    JournalLayout.HEAD_STORE.putUuid(buffer, 0, store);
    JournalLayout.HEAD_OPENING.put(buffer, 0, opening);
    JournalLayout.HEAD_GENERATION.put(buffer, 0, generation);
    JournalLayout.HEAD_EPOCH.put(buffer, 0, epoch);
    JournalLayout.HEAD_SALT.put(buffer, 0, salt);
    JournalLayout.HEAD_BYTES.put(buffer, 0, segmentBytes);
    JournalLayout.HEAD_SEQUENCE.put(buffer, 0, first);
    JournalLayout.HEAD_SNAPSHOT.put(buffer, 0, snapshotEnd);
    JournalLayout.HEAD_CHANGE.put(buffer, 0, change);
    JournalLayout.HEAD_CRC.put(buffer, 0, checksum(0, JournalLayout.HEAD_CRC.offset()));
    area.write(position, blockSize);
  }

  /** Returns the bytes that it took. */
  private int writeBatch(int which, long position, Collection<Change> changes) throws IOException {
    area.memory().asSlice(0, BATCH_SIZE).fill((byte) 0);
    int at = BATCH_SIZE;
    for (Change one : changes) {
      at += encode(one, at);
    }
    int length = inBlocks(at);
    area.memory().asSlice(at, length - at).fill((byte) 0);
    JournalLayout.BATCH_MAGIC_FIELD.put(buffer, 0, JournalLayout.BATCH_MAGIC);
    JournalLayout.BATCH_VERSION.put(buffer, 0, JournalLayout.VERSION);
    JournalLayout.BATCH_SALT.put(buffer, 0, salt);
    JournalLayout.BATCH_SEQUENCE.put(buffer, 0, sequence);
    JournalLayout.BATCH_POSITION.put(buffer, 0, position);
    JournalLayout.BATCH_CHANGE.put(buffer, 0, change);
    JournalLayout.BATCH_BYTES.put(buffer, 0, at - BATCH_SIZE);
    JournalLayout.BATCH_CRC.put(buffer, 0, batchChecksum(0, at - BATCH_SIZE));
    area.write(start(which) + position, length);
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
    Head.@Nullable Valid latest = null;
    boolean isEmpty = true;
    for (int which = 0; which < SEGMENTS; which++) {
      Head first = readHead(which, 0);
      Head second = readHead(which, 1);
      isEmpty &= first instanceof Head.Empty && second instanceof Head.Empty;
      Head.Valid valid = later(first, second);
      if (valid == null) {
        expectNothing(which, first, second);
      } else if (latest == null || valid.isLaterThan(latest)) {
        if (latest != null) {
          expectSameStore(latest, valid);
        }
        latest = valid;
        segment = which;
      } else {
        expectSameStore(valid, latest);
      }
    }
    if (latest == null) {
      if (isEmpty) {
        throw new StoreException(StoreException.Kind.ABSENT, "there is no store in " + area);
      }
      throw corrupt("no segment begins as it should");
    }
    take(latest);
  }

  /** A segment without a head that checks must not have been the newest one. */
  private void expectNothing(int which, Head first, Head second) throws StoreException {
    for (Head head : List.of(first, second)) {
      if (head instanceof Head.Newer(int version)) {
        throw new StoreException(
            StoreException.Kind.NEWER,
            "the store has format " + version + "; this version knows " + JournalLayout.VERSION);
      }
    }
    // The second one is written when the first is there: while it is empty, nothing was added.
    if (!(first instanceof Head.Empty) && !(second instanceof Head.Empty)) {
      throw corrupt("segment " + which + " does not begin as it should: " + first + ", " + second);
    }
  }

  private void expectSameStore(Head.Valid earlier, Head.Valid later) throws StoreException {
    if (!earlier.store.equals(later.store) || !later.isLaterThan(earlier)) {
      throw corrupt("its segments are of two stores: " + earlier + ", " + later);
    }
  }

  private static Head.@Nullable Valid later(Head first, Head second) {
    if (first instanceof Head.Valid a && second instanceof Head.Valid b) {
      return b.isLaterThan(a) ? b : a;
    }
    if (first instanceof Head.Valid a) {
      return a;
    }
    return second instanceof Head.Valid b ? b : null;
  }

  private void take(Head.Valid head) {
    store = head.store;
    opening = head.opening;
    generation = head.generation;
    epoch = head.epoch;
    salt = head.salt;
    sequence = head.sequence;
    change = head.change;
    end = head.snapshotEnd;
  }

  private Head readHead(int which, int copy) throws IOException {
    String unreadable = readBlock(headAt(which, copy));
    if (unreadable != null) {
      return new Head.Invalid(unreadable);
    }
    if (isZero()) {
      return new Head.Empty();
    }
    if (number(JournalLayout.HEAD_MAGIC_FIELD) != JournalLayout.HEAD_MAGIC) {
      return new Head.Invalid("no magic number");
    }
    int version = (int) number(JournalLayout.HEAD_VERSION);
    if (version != JournalLayout.VERSION) {
      return version > JournalLayout.VERSION
          ? new Head.Newer(version)
          : new Head.Invalid("version " + version);
    }
    if (number(JournalLayout.HEAD_CRC) != checksum(0, JournalLayout.HEAD_CRC.offset())) {
      return new Head.Invalid("checksum");
    }
    long bytes = number(JournalLayout.HEAD_BYTES);
    long snapshotEnd = number(JournalLayout.HEAD_SNAPSHOT);
    if (bytes != segmentBytes
        || snapshotEnd < blockSize
        || snapshotEnd > limit
        || snapshotEnd % blockSize != 0) {
      return new Head.Invalid(
          "made for %d bytes, with a snapshot to %d; here are %d"
              .formatted(bytes, snapshotEnd, segmentBytes));
    }
    long by = number(JournalLayout.HEAD_OPENING);
    if (by < 1 || (by % SEGMENTS != which && (by - 1) % SEGMENTS != which)) {
      return new Head.Invalid("opening " + by + " does not write here");
    }
    return new Head.Valid(
        JournalLayout.HEAD_STORE.getUuid(buffer, 0),
        by,
        number(JournalLayout.HEAD_GENERATION),
        number(JournalLayout.HEAD_EPOCH),
        number(JournalLayout.HEAD_SALT),
        number(JournalLayout.HEAD_SEQUENCE),
        snapshotEnd,
        number(JournalLayout.HEAD_CHANGE));
  }

  private void readClaims() throws IOException {
    for (int i = 0; i < CLAIMS; i++) {
      if (readBlock((long) i * blockSize) == null) {
        if (isZero()) {
          continue;
        }
        long by = number(JournalLayout.CLAIM_OPENING);
        if (number(JournalLayout.CLAIM_MAGIC_FIELD) == JournalLayout.CLAIM_MAGIC
            && number(JournalLayout.CLAIM_VERSION) == JournalLayout.VERSION
            && number(JournalLayout.CLAIM_CRC) == checksum(0, JournalLayout.CLAIM_CRC.offset())
            && JournalLayout.CLAIM_STORE.getUuid(buffer, 0).equals(store)
            && by % CLAIMS == i) {
          if (by > highestClaim) {
            highestClaim = by;
            overBefore = number(JournalLayout.CLAIM_OVER);
          }
          continue;
        }
      }
      damagedClaims.set(i);
    }
    if (highestClaim == 0) {
      throw corrupt("no claim can be read");
    }
  }

  /** Fills the buffer with a block; null: done, else why it cannot be read. */
  private @Nullable String readBlock(long position) throws IOException {
    try {
      area.read(position, 0, blockSize);
      return null;
    } catch (ErrnoException e) {
      return unreadable(e);
    }
  }

  /** What the block layer makes of a sector that cannot be read ({@code block/blk-core.c}). */
  private static String unreadable(ErrnoException e) throws ErrnoException {
    if (e.errno() == Errnos.EIO || e.errno() == Errnos.ENODATA || e.errno() == Errnos.EILSEQ) {
      return String.valueOf(e.getMessage());
    }
    throw e;
  }

  private boolean isZero() throws IOException {
    return area.memory().asSlice(0, blockSize).mismatch(zeros(blockSize)) < 0;
  }

  private static MemorySegment zeros(int size) {
    return MemorySegment.ofArray(new byte[size]);
  }

  private long number(Field field) {
    return field.get(buffer, 0);
  }

  // Reading it

  /** Position in the segment of what the buffer holds, and how much. */
  private long windowStart;

  private int windowLength;

  /** Blocks of the buffer that cannot be read. */
  private final BitSet unreadable = new BitSet();

  private void replay(SortedMap<Key, Entry> durable) throws IOException {
    long snapshotEnd = end;
    long headChange = change;
    long at = blockSize;
    windowLength = 0;
    while (at < limit) {
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
      throw corrupt(
          "batch at " + at + " of segment " + segment + ", in the snapshot, does not check");
    }
    if (at == snapshotEnd) {
      change = headChange;
    }
    end = at;
    lookBehind(at);
  }

  /** A batch behind the end of the log says that one before it was durable and is damaged. */
  private void lookBehind(long from) throws IOException {
    for (long at = from + blockSize; at < limit; at += blockSize) {
      int base = load(at, blockSize);
      if (isReadable(base, blockSize) && claimsToBe(base, at)) {
        throw corrupt(
            "batch at %d of segment %d does not check, and one at %d is behind it"
                .formatted(from, segment, at));
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
    expectReadable(at, base, blockSize);
    if (!claimsToBe(base, at)) {
      return null;
    }
    int version = (int) JournalLayout.BATCH_VERSION.get(buffer, base);
    long payload = JournalLayout.BATCH_BYTES.get(buffer, base);
    if (payload > PAYLOAD_MAX || at + inBlocks(BATCH_SIZE + (int) payload) > limit) {
      return null;
    }
    int length = inBlocks(BATCH_SIZE + (int) payload);
    base = load(at, length);
    expectReadable(at, base, length);
    if (JournalLayout.BATCH_CRC.get(buffer, base) != batchChecksum(base, (int) payload)
        || JournalLayout.BATCH_SEQUENCE.get(buffer, base) != sequence) {
      return null;
    }
    if (version != JournalLayout.VERSION) {
      throw new StoreException(
          version > JournalLayout.VERSION ? StoreException.Kind.NEWER : StoreException.Kind.CORRUPT,
          "batch at " + at + " of segment " + segment + " has format " + version);
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
      int wanted = (int) Math.min(BATCH_MAX, limit - at);
      readWindow(start(segment) + at, wanted);
      windowStart = at;
      windowLength = wanted;
    }
    return (int) (at - windowStart);
  }

  /** Where the whole cannot be read, block by block: one bad one hides no other. */
  private void readWindow(long position, int length) throws IOException {
    unreadable.clear();
    ErrnoException first;
    try {
      area.read(position, 0, length);
      return;
    } catch (ErrnoException e) {
      unreadable(e);
      first = e;
    }
    for (int at = 0; at < length; at += blockSize) {
      try {
        area.read(position + at, at, blockSize);
      } catch (ErrnoException e) {
        unreadable(e);
        unreadable.set(at / blockSize);
      }
    }
    if (unreadable.cardinality() > 1 && unreadable.cardinality() == length / blockSize) {
      throw first; // no bad block, but no disk
    }
  }

  private boolean isReadable(int base, int length) {
    int bad = unreadable.nextSetBit(base / blockSize);
    return bad < 0 || bad * blockSize >= base + length;
  }

  /** What cannot be read may have been durable: it is not taken for the end of the log. */
  private void expectReadable(long at, int base, int length) throws StoreException {
    if (!isReadable(base, length)) {
      throw corrupt(
          "a block of the batch at %d of segment %d cannot be read".formatted(at, segment));
    }
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
        "batch at %d of segment %d checks, but its entry at %d does not: %s"
            .formatted(position, segment, at, what));
  }

  private StoreException corrupt(String what) {
    return new StoreException(StoreException.Kind.CORRUPT, "the store in " + area + ": " + what);
  }

  /** For tests and tools: what is where. */
  @Override
  public String toString() {
    return "opening %d, over before %d, segment %d, generation %d, epoch %d, sequence %d, %d of %d bytes"
        .formatted(opening, overBefore, segment, generation, epoch, sequence, end, segmentBytes);
  }
}
