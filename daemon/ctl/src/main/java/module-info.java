// SPDX-License-Identifier: Apache-2.0

/**
 * mxfsctl, the command line tool. A module of its own, so that the daemon's start knows nothing of
 * it.
 */
module org.mxfs.ctl {
  requires static org.jspecify;
  requires info.picocli;
  requires org.mxfs.bindings;
  requires org.mxfs.scsi;

  // Command line options are fields that picocli fills in.
  opens org.mxfs.ctl to
      info.picocli;
}
