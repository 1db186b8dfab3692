// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.time.Duration;

/**
 * A device that belongs to the thread that opened it, like a confined arena: no lock, no second
 * thread, and the kernel prepares completions only when the owner asks for them. The fastest form.
 *
 * <p>Every method throws {@link WrongThreadException} on another thread, except {@link #inFlight},
 * {@code toString} and those that tell constants. The owner is called back from within {@link
 * #await}, and from within any method that waits: a request of the waiting form, a request that
 * meets a full queue, {@link #freeze}, {@link #close}. Requests that callbacks start are sent
 * together when all callbacks have returned.
 *
 * <p>Time-outs are noticed in those methods only: the owner has to come by.
 *
 * <p>The loop of a thread that keeps a queue full: {@code plug()} once, start as many requests as
 * the queue is deep, let each callback start the next, and call {@code await(1, …)} again and
 * again: one system call sends what is new and waits for what ends.
 */
public interface ConfinedBlockDevice extends BlockDevice {
  /**
   * Sends what is collected and calls back for the requests that have ended; waits until at least
   * {@code atLeast} have, or nothing is under way any more, or the time is up.
   *
   * @param atLeast 0 to look without waiting
   * @return how many requests were called back for
   */
  int await(int atLeast, Duration limit);
}
