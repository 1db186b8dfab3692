// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

/** What {@code scsi check} ends with, and the exit status that tells it to scripts. */
enum Verdict {
  USABLE(
      0,
      "USABLE",
      "This disk can be shared by mxfs: it does what fencing needs, as far as was tried."),
  UNUSABLE(
      1,
      "NOT USABLE",
      "This disk cannot be shared by mxfs: it lacks what fencing needs. If no line above says what"
          + " mxfs does with it, mxfs does not notice: do not mount it on two machines."),
  REFUSED(
      3,
      "REFUSED",
      "Nothing was tried and nothing was changed: somebody uses this disk, and the check would"
          + " disturb him."),
  UNKNOWN(
      4,
      "NOT CHECKED",
      "The check could not be done, so nothing is known about the disk; the reason is above."),
  LEFT_BEHIND(
      5, "NOT CLEANED UP", "A registration or reservation of this check may still be on the disk."),
  INTERRUPTED(130, "INTERRUPTED", "The check was ended early; nothing is left behind.");

  private final int exitStatus;
  private final String title;
  private final String meaning;

  Verdict(int exitStatus, String title, String meaning) {
    this.exitStatus = exitStatus;
    this.title = title;
    this.meaning = meaning;
  }

  int exitStatus() {
    return exitStatus;
  }

  String title() {
    return title;
  }

  String meaning() {
    return meaning;
  }
}
