// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Numbers in a byte array, in the machine's byte order, at any offset; outside the array they are
 * an {@link IndexOutOfBoundsException}.
 */
final class Numbers {
  private static final VarHandle SHORT = view(short[].class);
  private static final VarHandle INT = view(int[].class);
  private static final VarHandle LONG = view(long[].class);

  private Numbers() {}

  private static VarHandle view(Class<?> numbers) {
    return MethodHandles.byteArrayViewVarHandle(numbers, ByteOrder.nativeOrder())
        .withInvokeExactBehavior();
  }

  static int u16(byte[] data, int at) {
    return (short) SHORT.get(data, at) & 0xffff;
  }

  static int s32(byte[] data, int at) {
    return (int) INT.get(data, at);
  }

  static long u64(byte[] data, int at) {
    return (long) LONG.get(data, at);
  }

  static void u16(byte[] data, int at, int value) {
    SHORT.set(data, at, (short) value);
  }

  static void s32(byte[] data, int at, int value) {
    INT.set(data, at, value);
  }

  static void u64(byte[] data, int at, long value) {
    LONG.set(data, at, value);
  }
}
