// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.ownership.Ownership;
import org.mxfs.daemon.peer.Generations;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The policy thread: takes one event after the other, and has done what the core says to it. */
final class Loop {
  /** What the loop needs of the rest of the daemon; called on its thread. */
  interface Surroundings {
    /** Before each wait and step: what has happened beside the events; may be more events. */
    List<Event> look() throws IOException;

    /** Says where the core stands; nothing waits for it. */
    void publish(VolumeStatus status);

    /** Do what the core says, in order; {@code now} is the time of the step. */
    void perform(List<Action> actions, long now) throws IOException;
  }

  private static final Logger LOG = LoggerFactory.getLogger(Loop.class);

  private final Ownership machine;
  private final Mailbox mailbox;
  private final LongSupplier clock;
  private final Surroundings surroundings;
  private final Generations generations = new Generations();

  /**
   * Makes a loop that has not begun.
   *
   * @param clock milliseconds, never backwards
   */
  Loop(Ownership machine, Mailbox mailbox, LongSupplier clock, Surroundings surroundings) {
    this.machine = machine;
    this.mailbox = mailbox;
    this.clock = clock;
    this.surroundings = surroundings;
  }

  /** Until the machine's work is done. */
  void run() throws IOException {
    while (!machine.isGone()) {
      for (Event event : surroundings.look()) {
        step(event);
      }
      if (machine.isGone()) {
        return;
      }
      Mailbox.Mail mail = mailbox.take(untilDeadline());
      if (mail == null) {
        step(new Event.Tick());
        continue;
      }
      try {
        if (mail.generation() == 0 || generations.admit(mail.generation(), mail.event())) {
          step(mail.event());
        }
      } finally {
        mail.done().run();
      }
    }
  }

  private long untilDeadline() {
    long deadline = machine.deadline();
    return deadline == Long.MAX_VALUE
        ? TimeUnit.DAYS.toNanos(1)
        : TimeUnit.MILLISECONDS.toNanos(Math.max(0, deadline - clock.getAsLong()));
  }

  /** One step, now. */
  void step(Event event) throws IOException {
    if (LOG.isDebugEnabled() && !(event instanceof Event.Tick)) {
      LOG.debug("event {}", event);
    }
    long now = clock.getAsLong();
    List<Action> actions = machine.step(event, now);
    // First: a deed may hang, and then above all people ask.
    surroundings.publish(machine.status());
    surroundings.perform(actions, now);
  }
}
