// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.mxfs.bindings.Errno;
import org.mxfs.bindings.ErrnoException;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.linux.Files;
import org.mxfs.bindings.linux.Linux;
import org.mxfs.bindings.linux.Pr;
import org.mxfs.bindings.linux.pr_clear;
import org.mxfs.bindings.linux.pr_preempt;
import org.mxfs.bindings.linux.pr_read_keys;
import org.mxfs.bindings.linux.pr_read_reservation;
import org.mxfs.bindings.linux.pr_registration;
import org.mxfs.bindings.linux.pr_reservation;

/**
 * Persistent reservations by the kernel's {@code IOC_PR_*} requests (linux/pr.h): for NVMe
 * namespaces, and for device-mapper devices, where the kernel registers on every path. What it
 * cannot do, compared with {@link ScsiDevice}:
 *
 * <ul>
 *   <li>The kernel keeps sense data to itself. A refusal comes back as a {@link
 *       ScsiResult.TransportError} with {@code EINVAL} (invalid field, e.g. APTPL where the target
 *       has none) or {@code EIO} (anything else), and unit attentions are never told.
 *   <li>Registrations always ask for APTPL on SCSI (drivers/scsi/sd.c, {@code sd_pr_register}):
 *       {@link RegisterOptions} cannot change that, and targets without it refuse them.
 *   <li>Reading came with Linux 7.0; before, {@link #readKeys} and {@link #readReservation} end
 *       with {@code ENOTTY} (SCSI disks: {@code EINVAL}), and a {@link Preemption} with {@code
 *       UNKNOWN}. Read by a path then.
 * </ul>
 *
 * <p>Thread-safe; one command at a time. Calls block in the kernel: use platform threads.
 */
public final class BlockReservations implements PersistentReservations {
  /** Keys that are asked for first; {@code PR_KEYS_MAX} of the kernel is 65,536. */
  private static final int FIRST_KEYS = 128;

  private static final int MAX_KEYS = 1 << 16;

  private static final int DID_NO_CONNECT = 0x01;
  private static final int DID_TRANSPORT_DISRUPTED = 0x0e;
  private static final int DID_TRANSPORT_FAILFAST = 0x0f;

  /** The request to the kernel; returns {@code enum pr_status}, or {@code -errno}. */
  interface Requests {
    int send(long request, MemorySegment argument);

    void close();
  }

  private final String name;
  private final Requests requests;
  private boolean closed;

  BlockReservations(String name, Requests requests) {
    this.name = name;
    this.requests = requests;
  }

  /**
   * Opens a block device. Nothing is sent yet.
   *
   * @throws ErrnoException if it cannot be opened for writing
   */
  public static BlockReservations open(Path device) throws ErrnoException {
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
              "reservations need read and write access to the device");
      return new BlockReservations(device.toString(), new FileRequests(fd));
    }
  }

  private record FileRequests(int fd) implements Requests {
    @Override
    public int send(long request, MemorySegment argument) {
      return Linux.ioctl(fd, request, argument);
    }

    @Override
    public void close() {
      Linux.close(fd);
    }
  }

  // ---- reading ----

  @Override
  public ScsiResult<Keys> readKeys() {
    ScsiResult<Keys> first = readKeys(FIRST_KEYS);
    // More keys than room: only then is the list cut, and asked for once more in full.
    return first instanceof ScsiResult.BadAnswer ? readKeys(MAX_KEYS) : first;
  }

  private ScsiResult<Keys> readKeys(int room) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment list = arena.allocate(ValueLayout.JAVA_LONG, room);
      MemorySegment argument = arena.allocate(pr_read_keys.SIZE, pr_read_keys.ALIGN);
      pr_read_keys.num_keys(argument, 0, room);
      pr_read_keys.keys_ptr(argument, 0, list.address());
      ScsiResult<Done> done = send("READ KEYS", Pr.IOC_PR_READ_KEYS, argument);
      if (!done.isGood()) {
        return CommandRunner.retyped(done);
      }
      long count = Integer.toUnsignedLong(pr_read_keys.num_keys(argument, 0));
      if (count > room) {
        return new ScsiResult.BadAnswer<>(
            done.command(), count + " keys, and room for " + room, List.of());
      }
      List<Long> keys = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        keys.add(list.getAtIndex(ValueLayout.JAVA_LONG, i));
      }
      long generation = Integer.toUnsignedLong(pr_read_keys.generation(argument, 0));
      return new ScsiResult.Good<>(done.command(), new Keys(generation, keys), List.of());
    }
  }

  @Override
  public ScsiResult<Reservation> readReservation() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment argument = arena.allocate(pr_read_reservation.SIZE, pr_read_reservation.ALIGN);
      ScsiResult<Done> done = send("READ RESERVATION", Pr.IOC_PR_READ_RESERVATION, argument);
      if (!done.isGood()) {
        return CommandRunner.retyped(done);
      }
      long generation = Integer.toUnsignedLong(pr_read_reservation.generation(argument, 0));
      int type = pr_read_reservation.type(argument, 0);
      if (type == 0) { // none is held
        return new ScsiResult.Good<>(
            done.command(), new Reservation(generation, Optional.empty()), List.of());
      }
      Optional<ReservationType> known = fromKernel(type);
      if (known.isEmpty()) {
        return new ScsiResult.BadAnswer<>(
            done.command(), "reservation type " + type + " is not in linux/pr.h", List.of());
      }
      Reservation.Holder holder =
          new Reservation.Holder(pr_read_reservation.key(argument, 0), known.get());
      return new ScsiResult.Good<>(
          done.command(), new Reservation(generation, Optional.of(holder)), List.of());
    }
  }

  // ---- changing ----

  @Override
  public ScsiResult<Done> register(long oldKey, long newKey, RegisterOptions options) {
    return register("REGISTER", oldKey, newKey, 0, options);
  }

  @Override
  public ScsiResult<Done> registerAndIgnoreExistingKey(long newKey, RegisterOptions options) {
    return register("REGISTER AND IGNORE EXISTING KEY", 0, newKey, Pr.PR_FL_IGNORE_KEY, options);
  }

  private ScsiResult<Done> register(
      String command, long oldKey, long newKey, int flags, RegisterOptions options) {
    if (options.allTargetPorts()) {
      throw new IllegalArgumentException(command + ": the kernel has no request for ALL_TG_PT");
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment argument = arena.allocate(pr_registration.SIZE, pr_registration.ALIGN);
      pr_registration.old_key(argument, 0, oldKey);
      pr_registration.new_key(argument, 0, newKey);
      pr_registration.flags(argument, 0, flags);
      return send(command, Pr.IOC_PR_REGISTER, argument);
    }
  }

  @Override
  public ScsiResult<Done> reserve(long key, ReservationType type) {
    return reservation("RESERVE", Pr.IOC_PR_RESERVE, key, type);
  }

  @Override
  public ScsiResult<Done> release(long key, ReservationType type) {
    return reservation("RELEASE", Pr.IOC_PR_RELEASE, key, type);
  }

  private ScsiResult<Done> reservation(
      String command, long request, long key, ReservationType type) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment argument = arena.allocate(pr_reservation.SIZE, pr_reservation.ALIGN);
      pr_reservation.key(argument, 0, key);
      pr_reservation.type(argument, 0, toKernel(type));
      return send(command, request, argument);
    }
  }

  @Override
  public ScsiResult<Done> clear(long key) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment argument = arena.allocate(pr_clear.SIZE, pr_clear.ALIGN);
      pr_clear.key(argument, 0, key);
      return send("CLEAR", Pr.IOC_PR_CLEAR, argument);
    }
  }

  @Override
  public Preemption preempt(long key, long victim, ReservationType type) {
    return preempt("PREEMPT", Pr.IOC_PR_PREEMPT, key, victim, type);
  }

  @Override
  public Preemption preemptAndAbort(long key, long victim, ReservationType type) {
    return preempt("PREEMPT AND ABORT", Pr.IOC_PR_PREEMPT_ABORT, key, victim, type);
  }

  /** In linux/pr.h the old key is one's own, the new one the victim's (sd_pr_preempt). */
  private Preemption preempt(
      String command, long request, long key, long victim, ReservationType type) {
    Preemption.check(command, key, victim);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment argument = arena.allocate(pr_preempt.SIZE, pr_preempt.ALIGN);
      pr_preempt.old_key(argument, 0, key);
      pr_preempt.new_key(argument, 0, victim);
      pr_preempt.type(argument, 0, toKernel(type));
      ScsiResult<Done> result = send(command, request, argument);
      return Preemption.judge(key, victim, result, readKeys(), readReservation());
    }
  }

  // ---- sending ----

  /** Never twice: the kernel does not say what became of a request that failed. */
  private synchronized ScsiResult<Done> send(String command, long request, MemorySegment argument) {
    String what = command + " to " + name;
    int status = closed ? -Errnos.EBADF : requests.send(request, argument);
    if (status < 0) {
      return new ScsiResult.TransportError<>(what, -status, 0, 0, List.of());
    }
    return switch (status) {
      case Pr.PR_STS_SUCCESS -> new ScsiResult.Good<>(what, Done.DONE, List.of());
      case Pr.PR_STS_RESERVATION_CONFLICT -> new ScsiResult.ReservationConflict<>(what, List.of());
      case Pr.PR_STS_PATH_FAILED -> noPath(what, DID_NO_CONNECT);
      case Pr.PR_STS_RETRY_PATH_FAILURE -> noPath(what, DID_TRANSPORT_DISRUPTED);
      case Pr.PR_STS_PATH_FAST_FAILED -> noPath(what, DID_TRANSPORT_FAILFAST);
      // PR_STS_IOERR, and a raw NVMe status of kernels before 6.3.
      default -> new ScsiResult.TransportError<>(what, Errnos.EIO, 0, 0, List.of());
    };
  }

  private static ScsiResult<Done> noPath(String what, int hostStatus) {
    return new ScsiResult.TransportError<>(what, 0, hostStatus, 0, List.of());
  }

  private static int toKernel(ReservationType type) {
    return switch (type) {
      case WRITE_EXCLUSIVE -> Pr.PR_WRITE_EXCLUSIVE;
      case EXCLUSIVE_ACCESS -> Pr.PR_EXCLUSIVE_ACCESS;
      case WRITE_EXCLUSIVE_REGISTRANTS_ONLY -> Pr.PR_WRITE_EXCLUSIVE_REG_ONLY;
      case EXCLUSIVE_ACCESS_REGISTRANTS_ONLY -> Pr.PR_EXCLUSIVE_ACCESS_REG_ONLY;
      case WRITE_EXCLUSIVE_ALL_REGISTRANTS -> Pr.PR_WRITE_EXCLUSIVE_ALL_REGS;
      case EXCLUSIVE_ACCESS_ALL_REGISTRANTS -> Pr.PR_EXCLUSIVE_ACCESS_ALL_REGS;
    };
  }

  private static Optional<ReservationType> fromKernel(int number) {
    for (ReservationType type : ReservationType.values()) {
      if (toKernel(type) == number) {
        return Optional.of(type);
      }
    }
    return Optional.empty();
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      requests.close();
    }
  }

  @Override
  public String toString() {
    return "BlockReservations[" + name + "]";
  }
}
