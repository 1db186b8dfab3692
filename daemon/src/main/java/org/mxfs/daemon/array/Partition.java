// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.array;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.mxfs.daemon.core.ReservationKey;

/**
 * A partition of a disk, as the kernel has it. What the partition table on the disk says is {@link
 * PartitionTable}'s.
 *
 * @param number in the table, from 1
 * @param start in units of 512 bytes, whatever the disk's blocks are (block/partitions/core.c)
 * @param sectors likewise
 * @param disk the kernel's name of the whole disk
 * @param others the other partitions of the disk, but for those that come or go at this moment
 */
public record Partition(int number, long start, long sectors, String disk, List<Other> others) {
  /**
   * Another partition of the same disk.
   *
   * @param holders device-mapper and md devices over it
   */
  public record Other(String name, int major, int minor, List<String> holders) {
    public Other {
      holders = List.copyOf(holders);
    }

    /** By name and number; who holds it may be another one by now. */
    boolean isSame(Other other) {
      return name.equals(other.name) && major == other.major && minor == other.minor;
    }

    @Override
    public String toString() {
      return "/dev/" + name;
    }
  }

  public Partition {
    others = List.copyOf(others);
  }

  /**
   * Looks one up.
   *
   * @param dir of a block device in sysfs, without links
   * @return null when it is no partition
   */
  static @Nullable Partition find(Path dir) throws IOException {
    Path disk = dir.getParent();
    if (disk == null || !Files.exists(dir.resolve("partition"))) {
      return null;
    }
    long number = number(dir.resolve("partition"));
    if (number < 1 || number > ReservationKey.PARTITIONS_MAX) {
      throw new IOException(dir + " is partition " + number);
    }
    List<Other> others = new ArrayList<>();
    for (Path each : list(disk)) {
      if (Files.exists(each.resolve("partition")) && !each.equals(dir)) {
        try {
          others.add(other(each));
        } catch (IOException e) {
          // The first that goes is its number, which comes last (drivers/base/core.c, device_del).
          if (Files.exists(each.resolve("dev"))) {
            throw e;
          }
        }
      }
    }
    others.sort(Comparator.comparingInt(Other::major).thenComparingInt(Other::minor));
    return new Partition(
        (int) number,
        number(dir.resolve("start")),
        number(dir.resolve("size")),
        String.valueOf(disk.getFileName()),
        others);
  }

  private static Other other(Path dir) throws IOException {
    String text = Files.readString(dir.resolve("dev")).strip();
    String[] parts = text.split(":", -1);
    if (parts.length != 2) {
      throw new IOException(dir + "/dev says " + text);
    }
    List<String> holders =
        list(dir.resolve("holders")).stream()
            .map(holder -> String.valueOf(holder.getFileName()))
            .sorted()
            .toList();
    try {
      return new Other(
          String.valueOf(dir.getFileName()),
          Integer.parseInt(parts[0]),
          Integer.parseInt(parts[1]),
          holders);
    } catch (NumberFormatException e) {
      throw new IOException(dir + "/dev says " + text, e);
    }
  }

  private static long number(Path file) throws IOException {
    String text = Files.readString(file).strip();
    try {
      return Long.parseLong(text);
    } catch (NumberFormatException e) {
      throw new IOException(file + " says " + text, e);
    }
  }

  static List<Path> list(Path dir) throws IOException {
    if (!Files.isDirectory(dir)) {
      return List.of();
    }
    try (Stream<Path> list = Files.list(dir)) {
      return list.toList();
    } catch (NoSuchFileException e) {
      return List.of();
    }
  }
}
