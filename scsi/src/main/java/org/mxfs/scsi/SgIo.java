// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Files;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Sg;
import org.mxfs.bindings.linux.sg_io_hdr;

/**
 * The kernel's SG_IO request, {@code scsi/sg.h}. Its buffers live as long as the device is open.
 */
final class SgIo implements CommandTransport {
  /**
   * What most commands need: the longest answer that a 16 bit allocation length allows, in whole
   * pages.
   */
  private static final int DATA_LENGTH = 1 << 16;

  /** What READ and WRITE may need. */
  static final int MAX_DATA_LENGTH = 1 << 20;

  private static final int CDB_LENGTH = 16;

  /** {@code mx_sb_len} is one byte; SPC-4 limits sense data to 252. */
  private static final int SENSE_LENGTH = 252;

  private static final int PAGE = 4096;

  private final int fd;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment header = arena.allocate(sg_io_hdr.SIZE, sg_io_hdr.ALIGN);
  private final MemorySegment cdb = arena.allocate(CDB_LENGTH, 8);
  private final MemorySegment sense = arena.allocate(SENSE_LENGTH, 8);
  private final MemorySegment argument = arena.allocate(ValueLayout.JAVA_INT);
  private MemorySegment data = arena.allocate(DATA_LENGTH, PAGE);
  private boolean closed;

  private SgIo(int fd) {
    this.fd = fd;
  }

  static SgIo open(Path device) throws ErrnoException {
    return open(device, null);
  }

  /** {@code number} is what it must be, e.g. {@code 8:16}, or null. */
  static SgIo open(Path device, @Nullable String number) throws ErrnoException {
    try (Arena arena = Arena.ofConfined()) {
      int fd =
          Errno.check(
              Linux.openat(
                  Files.AT_FDCWD,
                  arena.allocateFrom(device.toString()),
                  Files.O_RDWR | Files.O_NONBLOCK | Files.O_CLOEXEC,
                  0),
              "open",
              device + ", O_RDWR",
              "SCSI commands need read and write access to the device");
      if (number != null) {
        String is = "unknown";
        try {
          is = DevicePaths.number(fd, device).orElse("no block device");
        } finally {
          if (!is.equals(number)) {
            Linux.close(fd);
          }
        }
        if (!is.equals(number)) {
          throw new ErrnoException(
              "open", device + ", block device " + number, Errnos.ENODEV, "this name is " + is);
        }
      }
      int version = Linux.ioctl(fd, Sg.SG_GET_VERSION_NUM, arena.allocate(ValueLayout.JAVA_INT));
      if (version < 0) {
        Linux.close(fd);
        throw new ErrnoException(
            "ioctl",
            device + ", SG_GET_VERSION_NUM",
            -version,
            "this is no SCSI disk (but a file, a partition of something else, NVMe, virtio-blk or"
                + " device mapper), so it takes no SG_IO");
      }
      if (DevicePaths.isDeviceMapper(fd, device)) {
        Linux.close(fd);
        throw new ErrnoException(
            "open",
            device + ", for SG_IO",
            Errnos.ENOTTY,
            "this is a device-mapper device: the kernel would choose one of its paths for each"
                + " command; open its paths (DevicePaths) or use BlockReservations");
      }
      return new SgIo(fd);
    }
  }

  /** One at a time: the buffers are shared. Blocks in the kernel: call it from platform threads. */
  @Override
  public synchronized Completion execute(
      byte[] command, byte[] out, int inLength, Duration timeout) {
    if (closed) {
      return new Completion(Errnos.EBADF, 0, 0, 0, new byte[0], new byte[0]);
    }
    if (command.length > CDB_LENGTH || out.length > MAX_DATA_LENGTH || inLength > MAX_DATA_LENGTH) {
      throw new IllegalArgumentException(
          "a command of "
              + command.length
              + " bytes with "
              + Math.max(out.length, inLength)
              + " bytes of data");
    }
    if (out.length > 0 && inLength > 0) {
      throw new IllegalArgumentException("a command goes one way");
    }
    if (Math.max(out.length, inLength) > data.byteSize()) {
      data = arena.allocate(MAX_DATA_LENGTH, PAGE);
    }
    header.fill((byte) 0);
    sense.fill((byte) 0);
    MemorySegment.copy(command, 0, cdb, ValueLayout.JAVA_BYTE, 0, command.length);
    int direction = Sg.SG_DXFER_NONE;
    int length = 0;
    if (out.length > 0) {
      direction = Sg.SG_DXFER_TO_DEV;
      length = out.length;
      MemorySegment.copy(out, 0, data, ValueLayout.JAVA_BYTE, 0, length);
    } else if (inLength > 0) {
      direction = Sg.SG_DXFER_FROM_DEV;
      length = inLength;
      // A device that sends less must not make old data look like its answer.
      data.asSlice(0, length).fill((byte) 0);
    }
    sg_io_hdr.interface_id(header, 0, 'S');
    sg_io_hdr.dxfer_direction(header, 0, direction);
    sg_io_hdr.cmd_len(header, 0, command.length);
    sg_io_hdr.mx_sb_len(header, 0, SENSE_LENGTH);
    sg_io_hdr.dxfer_len(header, 0, length);
    sg_io_hdr.dxferp(header, 0, length == 0 ? 0 : data.address());
    sg_io_hdr.cmdp(header, 0, cdb.address());
    sg_io_hdr.sbp(header, 0, sense.address());
    sg_io_hdr.timeout(header, 0, Math.toIntExact(timeout.toMillis()));
    int result = Linux.ioctl(fd, Sg.SG_IO, header);
    if (result < 0) {
      // EINTR as well: the command may have been sent.
      return new Completion(-result, 0, 0, 0, new byte[0], new byte[0]);
    }
    int senseLength = Math.min(sg_io_hdr.sb_len_wr(header, 0), SENSE_LENGTH);
    int left = Math.clamp(sg_io_hdr.resid(header, 0), 0, length);
    int received = direction == Sg.SG_DXFER_FROM_DEV ? length - left : 0;
    return new Completion(
        0,
        sg_io_hdr.status(header, 0),
        sg_io_hdr.host_status(header, 0),
        sg_io_hdr.driver_status(header, 0),
        sense.asSlice(0, senseLength).toArray(ValueLayout.JAVA_BYTE),
        data.asSlice(0, received).toArray(ValueLayout.JAVA_BYTE));
  }

  /**
   * SG_SCSI_RESET of the device, and of nothing larger when that fails: the escalation would reset
   * the target, the bus and the host adapter, with other units on them.
   */
  @Override
  public synchronized int resetLogicalUnit() {
    if (closed) {
      return Errnos.EBADF;
    }
    argument.set(ValueLayout.JAVA_INT, 0, Sg.SG_SCSI_RESET_DEVICE | Sg.SG_SCSI_RESET_NO_ESCALATE);
    return -Linux.ioctl(fd, Sg.SG_SCSI_RESET, argument);
  }

  /** Waits for the command under way. */
  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      Linux.close(fd);
      arena.close();
    }
  }
}
