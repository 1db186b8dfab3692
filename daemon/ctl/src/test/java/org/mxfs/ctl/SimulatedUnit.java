// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.mxfs.scsi.CommandTransport;

/**
 * A logical unit with type 5 reservations, to be reached by several paths: for the faults that no
 * real target has on demand. What real ones do is tested in the lab (scsi-check, scsi-lio,
 * scsi-iscsi).
 */
final class SimulatedUnit {
  /** A way in which a target can be wrong, or different. */
  enum Fault {
    PREEMPT_DOES_NOTHING,
    PREEMPT_KEEPS_OTHER_PATHS,
    RESERVES_FOR_ANYONE,
    NO_UNIT_ATTENTIONS,
    NO_APTPL,
    NO_PREEMPT_AND_ABORT,
    NO_RESERVATIONS,
    RESERVED_BY_AN_OLD_COMMAND,
    UNIT_IS_AWAY,
    FOREIGNER_REGISTERS_MEANWHILE
  }

  /** How one command can fail that says nothing of what the unit can do. */
  enum Failure {
    NO_ANSWER(0),
    NO_SUCH_UNIT(0x2500),
    NO_RESOURCES(0x5504),
    NO_ACCESS(0x2002);

    private final int code;

    Failure(int code) {
      this.code = code;
    }

    private CommandTransport.Completion completion() {
      return code == 0 ? new CommandTransport.Completion(5, 0, 0, 0, NONE, NONE) : sense(5, code);
    }
  }

  private static final byte[] NONE = {};
  private static final int GOOD = 0;
  private static final int CHECK_CONDITION = 2;
  private static final int CONFLICT = 0x18;

  final Map<Integer, Long> keys = new TreeMap<>();
  final List<String> log = new ArrayList<>();
  private final java.util.Set<Fault> faults;
  private final Map<Integer, Deque<Integer>> attentions = new HashMap<>();
  private int generation;
  int holder = -1;

  /** Commands until one fails; none if negative. */
  int failAfter = -1;

  /** How it does. */
  Failure failure = Failure.NO_ANSWER;

  /** A unit serial number; empty: it has no such page. */
  String serial = "";

  /** PERSISTENT RESERVE OUT by path 0 until that path is dead for good; never if negative. */
  int outsOfFirstPath = -1;

  SimulatedUnit(Fault... faults) {
    this.faults = java.util.Set.of(faults);
  }

  /** The path with this number. */
  CommandTransport path(int number) {
    return new CommandTransport() {
      @Override
      public Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout) {
        log.add("%d %02x/%02x".formatted(number, cdb[0], cdb[1]));
        if (failAfter-- == 0) {
          return failure.completion();
        }
        if (number == 0 && outsOfFirstPath == 0) {
          return Failure.NO_ANSWER.completion();
        }
        if (number == 0 && cdb[0] == 0x5f) {
          outsOfFirstPath--;
        }
        return answer(number, cdb, out);
      }

      @Override
      public int resetLogicalUnit() {
        log.add("reset");
        return 0;
      }

      @Override
      public void close() {}
    };
  }

  /** Vendor, product and revision. */
  String inquiry = "41".repeat(28);

  /** Of its device identification page. */
  String designators = "010300086001400000000001";

  private CommandTransport.Completion answer(int path, byte[] cdb, byte[] out) {
    if (cdb[0] == 0x12) {
      if (cdb[1] != 0 && cdb[2] == (byte) 0x80) {
        return serial.isEmpty()
            ? sense(5, 0x2400)
            : good("0080%04x".formatted(serial.length() / 2) + serial);
      }
      return cdb[1] == 0
          ? good("0000060200000000" + inquiry)
          : good("0083%04x".formatted(designators.length() / 2) + designators);
    }
    Deque<Integer> pending = attentions.getOrDefault(path, new ArrayDeque<>());
    if (!pending.isEmpty()) {
      return sense(6, pending.remove());
    }
    return switch (cdb[0]) {
      case 0x00 -> status(GOOD);
      case 0x5e -> in(cdb[1]);
      case 0x5f -> reserveOut(path, cdb, ByteBuffer.wrap(out));
      case (byte) 0xa3 -> cdb[1] == 0x0c ? good("0003000a") : sense(5, 0x2400);
      default -> sense(5, 0x2000);
    };
  }

  private CommandTransport.Completion in(int action) {
    if (faults.contains(Fault.NO_RESERVATIONS)) {
      return sense(5, 0x2000);
    }
    if (faults.contains(Fault.UNIT_IS_AWAY)) {
      return sense(5, 0x2500);
    }
    if (faults.contains(Fault.RESERVED_BY_AN_OLD_COMMAND)) {
      return status(CONFLICT);
    }
    if (action == 0) {
      StringBuilder list = new StringBuilder("%08x%08x".formatted(generation, 8 * keys.size()));
      keys.values().forEach(key -> list.append("%016x".formatted(key)));
      return good(list.toString());
    }
    if (action == 1) {
      return holder < 0
          ? good("%08x00000000".formatted(generation))
          : good("%08x00000010%016x0000000000050000".formatted(generation, keys.get(holder)));
    }
    return good("00080181" + "ea010000");
  }

  private CommandTransport.Completion reserveOut(int path, byte[] cdb, ByteBuffer out) {
    int action = cdb[1];
    long key = out.getLong(0);
    long other = out.getLong(8);
    if (action == 0 || action == 6) {
      return register(path, action == 0, key, other, (out.get(20) & 1) != 0);
    }
    if (keys.getOrDefault(path, 0L) != key) {
      return action == 1 && faults.contains(Fault.RESERVES_FOR_ANYONE)
          ? status(GOOD)
          : status(CONFLICT);
    }
    return switch (action) {
      case 1 -> reserve(path);
      case 4 -> preempt(path, other);
      case 5 ->
          faults.contains(Fault.NO_PREEMPT_AND_ABORT) ? sense(5, 0x2400) : preempt(path, other);
      default -> sense(5, 0x2400);
    };
  }

  private CommandTransport.Completion register(
      int path, boolean checked, long old, long key, boolean aptpl) {
    if (aptpl && faults.contains(Fault.NO_APTPL)) {
      return sense(5, 0x2600);
    }
    if (checked && keys.getOrDefault(path, 0L) != old) {
      return status(CONFLICT);
    }
    generation++;
    if (key != 0) {
      keys.put(path, key);
    } else {
      keys.remove(path);
      holder = holder == path ? -1 : holder;
    }
    if (faults.contains(Fault.FOREIGNER_REGISTERS_MEANWHILE)) {
      keys.put(99, 0xf00L);
    }
    return status(GOOD);
  }

  private CommandTransport.Completion reserve(int path) {
    if (holder >= 0 && holder != path && !faults.contains(Fault.RESERVES_FOR_ANYONE)) {
      return status(CONFLICT);
    }
    holder = path;
    return status(GOOD);
  }

  private CommandTransport.Completion preempt(int path, long victim) {
    if (!keys.containsValue(victim)) {
      return status(CONFLICT);
    }
    if (faults.contains(Fault.PREEMPT_DOES_NOTHING)) {
      return status(GOOD);
    }
    generation++;
    for (int each : List.copyOf(keys.keySet())) {
      if (each != path && keys.getOrDefault(each, 0L) == victim) {
        keys.remove(each);
        holder = holder == each ? path : holder;
        if (!faults.contains(Fault.NO_UNIT_ATTENTIONS)) {
          attentions.computeIfAbsent(each, _ -> new ArrayDeque<>()).add(0x2a05);
        }
        if (faults.contains(Fault.PREEMPT_KEEPS_OTHER_PATHS)) {
          break;
        }
      }
    }
    return status(GOOD);
  }

  private static CommandTransport.Completion status(int status) {
    return new CommandTransport.Completion(0, status, 0, 0, NONE, NONE);
  }

  private static CommandTransport.Completion good(String hex) {
    return new CommandTransport.Completion(0, GOOD, 0, 0, NONE, HexFormat.of().parseHex(hex));
  }

  private static CommandTransport.Completion sense(int key, int code) {
    byte[] sense =
        HexFormat.of().parseHex("7000%02x000000000a00000000%04x00000000".formatted(key, code));
    return new CommandTransport.Completion(0, CHECK_CONDITION, 0, 0, sense, NONE);
  }
}
