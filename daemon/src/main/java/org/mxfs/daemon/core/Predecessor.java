// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

/**
 * What an earlier daemon of this mount had told the kernel, as the HELLO reply repeats it. {@link
 * #NOBODY} when this is the first one.
 *
 * @param key its registration key, or {@link ReservationKey#NONE} when it had not registered
 * @param ready whether mount(2) had returned
 */
public record Predecessor(
    ReservationKey key,
    long epoch,
    KernelState kernel,
    boolean ready,
    boolean wanting,
    boolean leaving) {
  public static final Predecessor NOBODY =
      new Predecessor(ReservationKey.NONE, 0, KernelState.DETACHED, false, false, false);
}
