// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi.tool;

import java.io.IOException;
import java.util.List;
import org.mxfs.scsi.Done;
import org.mxfs.scsi.PersistentReservations;
import org.mxfs.scsi.Preemption;
import org.mxfs.scsi.RegisterOptions;
import org.mxfs.scsi.ReservationType;
import org.mxfs.scsi.ScsiResult;

/** The example of README.md; a test runs it, and checks that the two are the same. */
public final class ReadmeExample {
  private static final ReservationType TYPE = ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY;

  private ReadmeExample() {}

  // README: begin
  /** Takes a disk over from a machine that is believed dead; what became of it, in words. */
  static String takeOver(PersistentReservations disk, long myKey) throws IOException {
    disk.registerAndIgnoreExistingKey(myKey, RegisterOptions.PLAIN).orThrow();
    ScsiResult<Done> reserved = disk.reserve(myKey, TYPE);
    return switch (reserved) {
      case ScsiResult.Good<Done> _ -> "it was free";
      case ScsiResult.ReservationConflict<Done> _ -> preemptHolder(disk, myKey);
      default -> throw new IOException(reserved.toString()); // status, sense and their names
    };
  }

  private static String preemptHolder(PersistentReservations disk, long myKey) throws IOException {
    long holder = disk.readReservation().orThrow().holder().orElseThrow().key();
    Preemption p = disk.preempt(myKey, holder, TYPE);
    List<Long> left = p.keys().orThrow().keys();
    return p.verdict() + ", registered now: " + left.size();
  }
  // README: end
}
