// SPDX-License-Identifier: Apache-2.0

/** SCSI commands for Java, by the kernel's SG_IO. */
module org.mxfs.scsi {
  requires static org.jspecify;
  requires transitive org.mxfs.bindings;

  exports org.mxfs.scsi;
}
