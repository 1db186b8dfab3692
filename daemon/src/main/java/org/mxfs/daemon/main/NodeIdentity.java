// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.UUID;
import org.mxfs.daemon.core.Fnv1a;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.Uuids;

/** Who this machine is, for ever: the UUID in {@code /etc/mxfs/node.uuid}. */
record NodeIdentity(UUID uuid) {
  /**
   * Reads the file; makes it when it is not there. Two daemons that make it at once end with the
   * same one.
   */
  static NodeIdentity load(Path file) throws IOException {
    try {
      return read(file);
    } catch (NoSuchFileException e) {
      create(file);
      return read(file);
    }
  }

  private static NodeIdentity read(Path file) throws IOException {
    String text = Files.readString(file, StandardCharsets.UTF_8).strip();
    try {
      UUID uuid = UUID.fromString(text);
      if (uuid.version() == 4 && uuid.variant() == 2 && uuid.toString().equalsIgnoreCase(text)) {
        return new NodeIdentity(uuid);
      }
    } catch (IllegalArgumentException e) {
      // Said below.
    }
    throw new IOException(
        file
            + " does not hold a version 4 UUID: remove it, and a new one is made at the next mount"
            + " (not while this node has volumes mounted)");
  }

  /** Complete and on disk before it has its name, and never over one that is there. */
  private static void create(Path file) throws IOException {
    Path directory = file.toAbsolutePath().getParent();
    if (directory == null) {
      throw new IOException(file + " has no directory");
    }
    Files.createDirectories(directory);
    String uuid = UUID.randomUUID().toString();
    Path temporary = directory.resolve(file.getFileName() + "." + uuid + ".tmp");
    byte[] bytes = (uuid + "\n").getBytes(StandardCharsets.UTF_8);
    try (FileChannel channel =
        FileChannel.open(
            temporary,
            Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
      ByteBuffer buffer = ByteBuffer.wrap(bytes);
      while (buffer.hasRemaining()) {
        channel.write(buffer);
      }
      channel.force(true);
    }
    try {
      // A link, unlike a rename, does not replace what another daemon made meanwhile.
      Files.createLink(file, temporary);
    } catch (FileAlreadyExistsException e) {
      // The other one's counts.
    } catch (UnsupportedOperationException e) {
      rename(temporary, file);
    } finally {
      Files.deleteIfExists(temporary);
    }
    try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  private static void rename(Path from, Path to) throws IOException {
    try {
      Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      throw new IOException("cannot make " + to + " in one step", e);
    }
  }

  int nodeId() {
    return Fnv1a.nodeId(Uuids.bytes(uuid));
  }

  /**
   * For one mount.
   *
   * @param partition of which the id tells; 0: of none
   */
  int nodeId(int partition) {
    return partition == 0 ? nodeId() : ReservationKey.ofPartition(nodeId(), partition);
  }
}
