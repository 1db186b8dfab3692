// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.ReservationKey;

class LockTableTest {
  @Test
  void saysWhatTheModelSaysOverManyHistories() {
    int seeds = Integer.getInteger("mxfs.lock.histories", 1_000);
    long first = System.currentTimeMillis() << 16;
    long grants = 0;
    for (long seed = 0; seed < seeds; seed++) {
      grants += TableModel.run(seed < seeds / 2 ? seed : first + seed, 150);
    }
    assertThat(grants).isGreaterThan(seeds * 10L);
  }

  private static final ReservationKey A = ReservationKey.of(1, 1);
  private static final ReservationKey B = ReservationKey.of(2, 1);
  private static final ResourceId FILE = ResourceId.inode(9, 0);

  /** A master in grace, of two nodes. */
  private static final class Alone {
    final LockOutbox out = new LockOutbox();
    final Links links = new Links(A, out);
    final LockTable table;
    long now;

    Alone(int slots, int waiters) {
      this(slots, waiters, 100_000);
    }

    Alone(int slots, int waiters, int unsent) {
      LockSettings settings =
          new LockSettings(A, 0, slots, 100_000, 100_000, waiters, unsent, 1_000, 100);
      table = new LockTable(settings, out, links);
      View view = new View(new ViewId(1, 2), List.of(A, B), List.of());
      out.begin(now);
      links.begin(view);
      links.up(B);
      table.begin(view);
    }

    List<LockMessage> said() {
      table.endOfStep();
      List<LockMessage> said = new ArrayList<>();
      for (LockAction action : out.end()) {
        if (action instanceof LockAction.Send send) {
          said.add(send.envelope().message());
        }
      }
      return said;
    }

    /** All that is to be written, and what is said then. */
    List<LockMessage> toDisk() {
      List<LockMessage> said = new ArrayList<>();
      for (boolean some = true; some; ) {
        table.endOfStep();
        some = false;
        List<LockAction> actions = out.end();
        out.begin(++now);
        for (LockAction action : actions) {
          if (action instanceof LockAction.Send send) {
            said.add(send.envelope().message());
          } else if (action instanceof LockAction.Persist persist) {
            table.persisted(persist.batch());
            some = true;
          }
        }
      }
      return said;
    }

    void acquire(long number, Mode mode) {
      table.take(B, new LockMessage.Acquire(number, 1, FILE, mode, false, 0));
    }
  }

  /**
   * The writer's daemon was started anew and has forgotten that it held the lock; under the view
   * between it was told to be the master, and says what it was told. That is not what it wrote.
   */
  @Test
  void whatAMasterWasToldIsNotWhatAWriterTells() {
    for (LockMessage.Source source : LockMessage.Source.values()) {
      Alone alone = new Alone(10, 10);
      ValueBlock old = new ValueBlock(5, true, new byte[ValueBlock.SIZE]);
      LockId writer = new LockId(B, 3);
      alone.table.take(
          A, new LockMessage.RestateValue(FILE, old, LockMessage.Source.MASTER, writer));
      if (source != LockMessage.Source.MASTER) {
        alone.table.take(B, new LockMessage.RestateValue(FILE, old, source, null));
      }
      alone.table.take(
          B, new LockMessage.Restate(7, FILE, Mode.NL, 1, ValueBlock.NONE.doubted(), null));
      alone.table.restated(A);
      alone.table.restated(B);
      alone.acquire(8, Mode.PR);
      List<LockMessage> said = alone.toDisk();
      assertThat(said)
          .as("told as %s", source)
          .filteredOn(LockMessage.Granted.class::isInstance)
          .singleElement()
          .satisfies(
              m ->
                  assertThat(((LockMessage.Granted) m).value().isValid())
                      .isEqualTo(source == LockMessage.Source.WRITER));
    }
  }

  /** One message more costs no more when there are many: a hundred times as many in the time. */
  @Test
  @Timeout(60)
  void statingManyLocksToAMasterWithFewSlotsIsLinear() {
    Alone alone = new Alone(10_000, 10);
    for (long i = 1; i <= 20_000; i++) {
      ResourceId file = ResourceId.inode(i, 0);
      alone.table.take(B, new LockMessage.Restate(i, file, Mode.PR, 1, ValueBlock.NONE, null));
    }
    alone.table.restated(A);
    alone.table.restated(B);
    alone.toDisk();
    assertThat(alone.table.isGrace()).isFalse();
    assertThat(alone.table.unrecorded()).isEqualTo(10_000);
    for (long i = 1; i <= 20_000; i++) {
      alone.table.take(B, new LockMessage.Release(i, 2, ResourceId.inode(i, 0), null));
    }
    alone.toDisk();
    assertThat(alone.table.size()).isZero();
  }

  /** Holders are called back once, not once for each of many that wait. */
  @Test
  @Timeout(60)
  void aCrowdThatWaitsForOneLockCostsNoMoreForEachThatComes() {
    Alone alone = new Alone(10_000, 100_000);
    alone.table.restated(A);
    alone.table.restated(B);
    for (long i = 1; i <= 3_000; i++) {
      alone.acquire(i, Mode.PR);
    }
    alone.toDisk();
    for (long i = 3_001; i <= 50_000; i++) {
      alone.acquire(i, Mode.EX);
    }
    assertThat(alone.said().stream().filter(LockMessage.Blocking.class::isInstance)).hasSize(3_000);
    for (long i = 50_000; i > 3_000; i--) {
      alone.table.take(B, new LockMessage.Cancel(i, 1, FILE));
    }
    assertThat(alone.table.size()).isEqualTo(3_000);
  }

  /** At most so many that one tick sends them all at once; the others have their turn later. */
  @Test
  void aCrowdDoesNotAskForCirclesAllAtOnce() {
    Alone alone = new Alone(10, 10_000);
    alone.table.restated(A);
    alone.table.restated(B);
    alone.acquire(1, Mode.EX);
    alone.toDisk();
    for (long i = 2; i <= 1_001; i++) {
      alone.acquire(i, Mode.EX);
    }
    alone.said();
    View view = new View(new ViewId(1, 2), List.of(A, B), List.of());
    LockSettings settings = LockSettings.of(A, 0, 10);
    Deadlock deadlock =
        new Deadlock(
            A, view, alone.table, new Holdings(settings, alone.out, alone.links), alone.links);
    Set<LockId> asked = new HashSet<>();
    for (int tick = 0; tick < 600; tick++) {
      alone.out.begin(200 + tick);
      deadlock.tick();
      List<LockMessage> said = alone.said();
      assertThat(said).hasSizeLessThan(1_024 + 1_001);
      for (LockMessage message : said) {
        if (message instanceof LockMessage.Probe probe) {
          asked.add(probe.initiator().lock());
        }
      }
    }
    assertThat(asked).hasSize(1_000);
  }

  /**
   * Who holds a lock hears nothing, while others ask for it and give up, over and over: what is
   * kept for him has a limit, and he is called back when he hears again.
   */
  @Test
  void whatIsKeptForANodeThatHearsNothingHasALimit() {
    Alone alone = new Alone(10, 10, 50);
    alone.table.restated(A);
    alone.table.restated(B);
    alone.acquire(1, Mode.EX);
    alone.toDisk();
    for (long i = 2; i < 5_000; i++) {
      LockMessage.Acquire ask = new LockMessage.Acquire(i, 1, FILE, Mode.PR, false, 0);
      alone.table.take(A, ask);
      alone.table.take(A, new LockMessage.Cancel(i, 1, FILE));
    }
    alone.table.take(A, new LockMessage.Acquire(5_000, 1, FILE, Mode.PW, false, 0));
    alone.said();
    assertThat(alone.links.backlog(B)).isBetween(50, 60);
    // He hears all that was sent until now.
    alone.out.begin(alone.now + 100);
    ViewId view = new ViewId(1, 2);
    alone.links.take(B, new Envelope(view, 0, 1_000, new LockMessage.Ack()));
    assertThat(alone.said()).contains(new LockMessage.Blocking(1, 1, Mode.PW, false));
  }

  /** A slot comes free for a lock that was stated, and its node is dead by then. */
  @Test
  void nothingIsRecordedForTheDead() {
    ReservationKey dead = ReservationKey.of(3, 1);
    LockOutbox out = new LockOutbox();
    Links links = new Links(A, out);
    LockTable table =
        new LockTable(new LockSettings(A, 0, 3, 100, 100, 10, 100, 2, 100), out, links);
    View view = new View(new ViewId(1, 2), List.of(A, B, dead), List.of());
    out.begin(0);
    links.begin(view);
    table.begin(view);
    for (long i = 1; i <= 4; i++) {
      ReservationKey node = i == 4 ? dead : B;
      ResourceId file = ResourceId.inode(i, 0);
      table.take(node, new LockMessage.Restate(i, file, Mode.PR, 1, ValueBlock.NONE, null));
    }
    table.endOfStep();
    assertThat(table.unrecorded()).isEqualTo(1);
    for (long batch = 1; batch <= 2; batch++) {
      table.persisted(batch);
      table.endOfStep();
    }
    table.take(B, new LockMessage.Release(1, 2, ResourceId.inode(1, 0), null));
    table.take(B, new LockMessage.Release(2, 2, ResourceId.inode(2, 0), null));
    table.take(B, new LockMessage.Release(3, 2, ResourceId.inode(3, 0), null));
    table.clear(dead);
    table.endOfStep();
    out.begin(1);
    for (long batch = 3; batch <= 4; batch++) {
      table.persisted(batch);
      table.endOfStep();
    }
    assertThat(out.end()).contains(new LockAction.LocksCleared(dead));
    assertThat(out.end())
        .filteredOn(LockAction.Persist.class::isInstance)
        .flatExtracting(action -> ((LockAction.Persist) action).writes())
        .allMatch(write -> write.entry() == null);
  }

  /** A dead node that waits twice for one file: what goes first must not let its second one in. */
  @Test
  void theDeadAreGrantedNothingWhileTheyAreCleared() {
    Alone alone = new Alone(10, 10);
    alone.table.restated(A);
    alone.table.restated(B);
    alone.table.take(A, new LockMessage.Acquire(1, 1, FILE, Mode.PR, false, 0));
    alone.toDisk();
    alone.acquire(2, Mode.EX);
    alone.acquire(3, Mode.PR);
    alone.table.take(A, new LockMessage.Acquire(4, 1, FILE, Mode.EX, false, 0));
    alone.toDisk();
    alone.table.clear(B);
    alone.table.endOfStep();
    assertThat(alone.out.end())
        .filteredOn(LockAction.Persist.class::isInstance)
        .flatExtracting(action -> ((LockAction.Persist) action).writes())
        .isEmpty();
    assertThat(alone.table.size()).isEqualTo(2);
  }

  /** Its grant was still to be recorded, so it was not told and has written nothing. */
  @Test
  void aGrantThatWasNotToldDoesNotMakeTheValueDoubtful() {
    Alone alone = new Alone(10, 10);
    alone.table.restated(A);
    alone.table.restated(B);
    alone.table.take(A, new LockMessage.Acquire(1, 1, FILE, Mode.NL, false, 0));
    alone.toDisk();
    alone.acquire(2, Mode.EX);
    alone.table.endOfStep();
    alone.table.clear(B);
    alone.toDisk();
    alone.table.take(A, new LockMessage.Convert(1, 2, FILE, Mode.PR, false, 0, null));
    assertThat(alone.table.resources().get(FILE))
        .satisfies(file -> assertThat(requireNonNull(file).value.isValid()).isTrue());
  }
}
