// SPDX-License-Identifier: Apache-2.0

/** Block device I/O for Java, by io_uring. */
module org.mxfs.blockio {
  requires static org.jspecify;
  requires transitive org.mxfs.bindings;

  exports org.mxfs.blockio;
}
