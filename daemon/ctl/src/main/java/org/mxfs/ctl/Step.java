// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

/**
 * One thing that the check looked at.
 *
 * @param id a stable name for scripts
 * @param outcome what came of it
 * @param what it is about, for a person
 * @param found what was seen, may be empty
 */
record Step(String id, Outcome outcome, String what, String found) {
  /** What can come of a step. */
  enum Outcome {
    /** It was done, and the device's own lists show that it took effect. */
    PROVEN("ok"),
    /** It does not work, and fencing needs it. */
    FAILED("FAILED"),
    /** It does not work, and mxfs can do without; what that costs is said. */
    UNSUPPORTED("not supported"),
    /** It could not be tried here; why is said. */
    NOT_TRIED("not tried"),
    /** Something to know. */
    NOTE("note");

    private final String word;

    Outcome(String word) {
      this.word = word;
    }

    String word() {
      return word;
    }
  }
}
