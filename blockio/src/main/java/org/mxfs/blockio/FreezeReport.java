// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

/**
 * What {@link BlockDevice#freeze} achieved. Owned and reused by the device, so that a freeze in a
 * panic needs no memory.
 *
 * <p>Only {@code drained() && flushCompleted()} means that everything reported as written is
 * durable; whatever else must be taken as lost.
 */
public final class FreezeReport {
  private boolean drained;
  private int inFlight;
  private boolean flushIssued;
  private boolean flushCompleted;

  FreezeReport() {}

  FreezeReport set(boolean isDrained, int left, boolean issued, boolean completed) {
    drained = isDrained;
    inFlight = left;
    flushIssued = issued;
    flushCompleted = completed;
    return this;
  }

  /** Whether every request had ended. */
  public boolean drained() {
    return drained;
  }

  /** Requests, the flush not counted, whose outcome is not known. */
  public int inFlight() {
    return inFlight;
  }

  /** Whether the flush was sent; it is sent only after the drain. */
  public boolean flushIssued() {
    return flushIssued;
  }

  /** Whether the device confirmed the flush. */
  public boolean flushCompleted() {
    return flushCompleted;
  }

  @Override
  public String toString() {
    return "drained="
        + drained
        + " inFlight="
        + inFlight
        + " flushIssued="
        + flushIssued
        + " flushCompleted="
        + flushCompleted;
  }
}
