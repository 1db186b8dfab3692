// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.edge;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Where commands are executed, one after the other: a thread of its own, for a device may take as
 * long as it likes, and nobody else waits for it.
 *
 * @param <A> what is asked
 * @param <R> what is answered
 */
public final class CommandThread<A, R> {
  private static final long QUIET_NANOS = TimeUnit.MILLISECONDS.toNanos(1);

  private final Function<A, R> perform;
  private final BiConsumer<A, R> answers;
  private final LinkedBlockingQueue<Runnable> queue = new LinkedBlockingQueue<>();

  /** Commands that were handed over and are not done. */
  private final AtomicInteger underWay = new AtomicInteger();

  private final Thread thread;
  private volatile @Nullable Runnable last;

  /** {@code perform} and {@code answers} are called on the thread, which gets this name. */
  public CommandThread(String name, Function<A, R> perform, BiConsumer<A, R> answers) {
    this.perform = perform;
    this.answers = answers;
    thread = Thread.ofPlatform().name(name).daemon().unstarted(this::run);
  }

  public void start() {
    thread.start();
  }

  /** Queues a command; its answer comes later. */
  public void execute(A asked) {
    underWay.incrementAndGet();
    queue.add(
        () -> {
          R answer;
          try {
            answer = perform.apply(asked);
          } finally {
            underWay.decrementAndGet();
          }
          answers.accept(asked, answer);
        });
  }

  /**
   * Waits until no command is under way.
   *
   * @return false if one still is after so long
   */
  public boolean quiesce(long millis) {
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    while (underWay.get() > 0) {
      if (System.nanoTime() - end >= 0) {
        return false;
      }
      LockSupport.parkNanos(this, QUIET_NANOS);
    }
    return true;
  }

  /**
   * Ends the thread after the command under way, which is not waited for.
   *
   * @param last what it does then
   */
  public void close(Runnable last) {
    this.last = last;
    queue.add(() -> {});
  }

  private void run() {
    try {
      Runnable end = last;
      while (end == null) {
        queue.take().run();
        end = last;
      }
      end.run();
    } catch (InterruptedException e) {
      throw new IllegalStateException("nobody interrupts the thread of commands", e);
    }
  }
}
