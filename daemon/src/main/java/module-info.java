// SPDX-License-Identifier: Apache-2.0

/** mxfsd, the daemon of one mounted mxfs volume. */
module org.mxfs.daemon {
  requires static org.jspecify;
  requires org.jctools.core;
  requires org.mxfs.bindings;
  requires org.mxfs.blockio;
  requires org.mxfs.netlink;
  requires org.mxfs.scsi;
  requires org.slf4j;

  provides org.slf4j.spi.SLF4JServiceProvider with
      org.mxfs.daemon.log.LogProvider;
}
