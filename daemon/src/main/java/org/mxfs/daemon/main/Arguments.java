// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import java.util.HexFormat;
import java.util.List;
import java.util.UUID;
import org.mxfs.daemon.wire.Uuids;

/** The command line. */
sealed interface Arguments {
  String USAGE =
      """
      usage: mxfsd --device DEV --uuid HEX [--debug] [--restart]
             mxfsd --train | --version | --help

      The daemon of one mounted mxfs volume. The kernel starts it at mount and it ends with the umount;
      nobody else needs to start it.

        --device DEV   the device, as given to mount(8)
        --uuid HEX     the volume's UUID, 32 hexadecimal digits
        --debug        log every message and every command
        --restart      an earlier daemon of this mount died; take up where it stopped
        --train        exercise the program without touching any device, then end: used to make the AOT cache
        --version      print the version
        --help         print this

      exit status: 0 ended in order; 1 failed, the log says why (/var/log/mxfs/UUID.log, the system log); 2 bad usage;
      3 a mistake in the program
      """;

  record Run(String device, UUID uuid, boolean debug, boolean restart) implements Arguments {}

  record Train() implements Arguments {}

  record Version() implements Arguments {}

  record Help() implements Arguments {}

  record Wrong(String why) implements Arguments {}

  static Arguments parse(List<String> words) {
    String device = null;
    UUID uuid = null;
    boolean debug = false;
    boolean restart = false;
    for (int i = 0; i < words.size(); i++) {
      String word = words.get(i);
      boolean last = i + 1 == words.size();
      switch (word) {
        case "--help" -> {
          return new Help();
        }
        case "--version" -> {
          return new Version();
        }
        case "--train" -> {
          return new Train();
        }
        case "--debug" -> debug = true;
        case "--restart" -> restart = true;
        case "--device" -> {
          if (last) {
            return new Wrong("--device needs a value");
          }
          device = words.get(++i);
        }
        case "--uuid" -> {
          if (last) {
            return new Wrong("--uuid needs a value");
          }
          try {
            byte[] bytes = HexFormat.of().parseHex(words.get(++i));
            if (bytes.length != 16) {
              return new Wrong("--uuid " + words.get(i) + ": 32 hexadecimal digits are needed");
            }
            uuid = Uuids.of(bytes);
          } catch (IllegalArgumentException e) {
            return new Wrong("--uuid " + words.get(i) + ": " + e.getMessage());
          }
        }
        default -> {
          return new Wrong("unknown argument " + word);
        }
      }
    }
    if (device == null || uuid == null) {
      return new Wrong("--device and --uuid are needed");
    }
    return new Run(device, uuid, debug, restart);
  }
}
