// SPDX-License-Identifier: Apache-2.0

/**
 * Linux system calls, structures and constants for Java, checked against the C headers at build
 * time.
 */
module org.mxfs.bindings {
  requires static org.jspecify;

  exports org.mxfs.bindings;
  exports org.mxfs.bindings.linux;
  exports org.mxfs.bindings.mxfs;
}
