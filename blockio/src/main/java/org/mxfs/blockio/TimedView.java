// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** A device with another time-out for the requests that are made through it. */
final class TimedView extends AbstractBlockDevice {
  private final AbstractBlockDevice device;

  TimedView(AbstractBlockDevice device, Duration timeout) {
    super(device.name, device.size(), device.blockSize(), device.buffers(), timeout);
    this.device = device;
  }

  @Override
  void start(
      Operation operation,
      long offset,
      long address,
      long length,
      MemorySegment @Nullable [] parts,
      Callback callback,
      long tag,
      long timeoutNanos)
      throws IOException {
    device.start(operation, offset, address, length, parts, callback, tag, timeoutNanos);
  }

  @Override
  int run(
      Operation operation,
      long offset,
      long address,
      long length,
      MemorySegment @Nullable [] parts,
      long timeoutNanos)
      throws IOException {
    return device.run(operation, offset, address, length, parts, timeoutNanos);
  }

  @Override
  public BlockDevice withTimeout(Duration timeout) {
    return device.withTimeout(timeout);
  }

  @Override
  public int queueDepth() {
    return device.queueDepth();
  }

  @Override
  public int inFlight() {
    return device.inFlight();
  }

  @Override
  public boolean mayStillUse(MemorySegment memory) {
    return device.mayStillUse(memory);
  }

  @Override
  public void plug() {
    device.plug();
  }

  @Override
  public void unplug() {
    device.unplug();
  }

  @Override
  public int cancel(long tag) {
    return device.cancel(tag);
  }

  @Override
  public FreezeReport freeze(Duration deadline) {
    return device.freeze(deadline);
  }

  @Override
  public void close() throws IOException {
    device.close();
  }

  @Override
  public String toString() {
    return device + ", time-out " + timeout();
  }
}
