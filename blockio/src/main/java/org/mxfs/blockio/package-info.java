// SPDX-License-Identifier: Apache-2.0

/**
 * Reads and writes of block devices and files, past the page cache, by io_uring.
 *
 * <p>{@link org.mxfs.blockio.BlockDevice} is the interface, {@link org.mxfs.blockio.BlockDevices}
 * opens one. For tests there are {@link org.mxfs.blockio.MemoryBlockDevice}, which can crash, and
 * {@link org.mxfs.blockio.FaultyBlockDevice}.
 *
 * <p>This package never calls a write durable that the device has not confirmed, never forgets a
 * request (one whose end is not known is counted as in flight), and never lets the kernel touch
 * memory that Java may have given to something else: all I/O uses memory that belongs to the device
 * object. It does not know what is on the disk.
 */
@NullMarked
package org.mxfs.blockio;

import org.jspecify.annotations.NullMarked;
