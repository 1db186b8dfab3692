// SPDX-License-Identifier: Apache-2.0

/**
 * SCSI commands by {@code SG_IO}: identity of a disk, and persistent reservations (SPC-4).
 *
 * <p>{@link org.mxfs.scsi.ScsiDevice} is the disk; every command returns a {@link
 * org.mxfs.scsi.ScsiResult} that says what the disk, or the way to it, answered. {@link
 * org.mxfs.scsi.Preemption} is what became of a PREEMPT.
 *
 * <p>This package never repeats a command that may have taken effect, and never hides a unit
 * attention: each one seen on the way to a result is in the result. It decides nothing about
 * fencing; it reports what is registered and reserved.
 */
@NullMarked
package org.mxfs.scsi;

import org.jspecify.annotations.NullMarked;
