// SPDX-License-Identifier: Apache-2.0

package org.mxfs.scsi;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Queue;

/**
 * A logical unit that answers as told: for the answers that no real disk gives on demand (lost
 * paths, floods of unit attentions, garbage). What a real disk answers is tested on one, with the
 * lab's protocol.
 */
final class ScriptedTransport implements CommandTransport {
  private final Queue<Completion> answers = new ArrayDeque<>();
  private final Queue<Integer> resets = new ArrayDeque<>();
  private final List<String> sent = new ArrayList<>();

  static ScsiDevice device(ScriptedTransport transport) {
    return new ScsiDevice("scripted", transport, new ScsiDevice.Options(Duration.ofSeconds(1), 3));
  }

  ScriptedTransport answer(Completion completion) {
    answers.add(completion);
    return this;
  }

  ScriptedTransport good(String hexData) {
    return answer(new Completion(0, 0, 0, 0, new byte[0], hex(hexData)));
  }

  ScriptedTransport sense(String hexSense) {
    return answer(new Completion(0, 2, 0, 8, hex(hexSense), new byte[0]));
  }

  /** Fixed format. */
  ScriptedTransport sense(int key, int code) {
    return sense("7000%02x000000000a00000000%04x00000000".formatted(key, code));
  }

  ScriptedTransport status(int status) {
    return answer(new Completion(0, status, 0, 0, new byte[0], new byte[0]));
  }

  /** What SG_SCSI_RESET is to return. */
  ScriptedTransport reset(int errno) {
    resets.add(errno);
    return this;
  }

  /** CDB and data of every command, in hexadecimal. */
  List<String> sent() {
    return sent;
  }

  static byte[] hex(String text) {
    return HexFormat.of().parseHex(text.replaceAll("\\s", ""));
  }

  @Override
  public Completion execute(byte[] cdb, byte[] out, int inLength, Duration timeout) {
    sent.add(
        HexFormat.of().formatHex(cdb)
            + (out.length == 0 ? "" : " " + HexFormat.of().formatHex(out)));
    Completion next = answers.poll();
    assertThat(next).as("an answer to the command %s", sent.getLast()).isNotNull();
    return java.util.Objects.requireNonNull(next);
  }

  @Override
  public int resetLogicalUnit() {
    sent.add("reset");
    return java.util.Objects.requireNonNull(resets.poll(), "an answer to the reset");
  }

  @Override
  public void close() {}
}
