// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What {@code status --json} and {@code nodes --json} print; docs/mxfsctl.md describes it. */
final class StatusJson {
  /** Raised when something changes that a reader would miss or misread. */
  static final int SCHEMA = 1;

  private StatusJson() {}

  static String whole(List<String> volumes) {
    return "{\"schema\":" + SCHEMA + ",\"volumes\":[" + String.join(",", volumes) + "]}\n";
  }

  static String status(Volume volume, List<Health.Finding> findings) {
    String kernel = volume.kernel().isEmpty() ? "null" : Json.object(volume.kernel());
    return "{"
        + place(volume)
        + ",\"healthy\":"
        + findings.isEmpty()
        + ",\"findings\":"
        + Json.list(
            findings,
            f ->
                "{\"id\":%s,\"what\":%s,\"todo\":%s}"
                    .formatted(Json.string(f.id()), Json.string(f.what()), Json.string(f.todo())))
        + ",\"answer\":"
        + Json.string(answer(volume))
        + ",\"daemon\":"
        + (volume.daemon() instanceof DaemonAnswer.Said said ? said.json() : "null")
        + ",\"kernel\":"
        + kernel
        + "}";
  }

  static String nodes(Volume volume) {
    JsonValue said = volume.said();
    JsonValue status = said == null ? null : said.get("status");
    String nodes = "";
    if (said != null && status != null) {
      JsonValue self = said.get("node");
      nodes =
          node(self, true, StatusText.isHolder(status, self.get("id").textOr("")))
              + status.get("peers").list().stream()
                  .map(
                      p ->
                          "," + node(p, false, StatusText.isHolder(status, p.get("id").textOr(""))))
                  .reduce("", String::concat);
    }
    return "{"
        + place(volume)
        + ",\"answer\":"
        + Json.string(answer(volume))
        + ",\"nodes\":["
        + nodes
        + "]}";
  }

  static String missing(Volume volume) {
    JsonValue status = volume.status();
    List<JsonValue> missing = status == null ? List.of() : status.get("missing").list();
    String takeover = status == null ? "null" : Boolean.toString(status.get("takeover").isTrue());
    return "{"
        + place(volume)
        + ",\"answer\":"
        + Json.string(answer(volume))
        + ",\"takeover\":"
        + takeover
        + ",\"missing\":"
        + Json.list(
            missing,
            m ->
                "{\"key\":%s,\"id\":%s,\"host\":%s,\"state\":%s,\"ms\":%s,\"epoch\":%s,\"refusal\":%s}"
                    .formatted(
                        text(m.get("key").text()),
                        text(m.get("id").text()),
                        text(m.get("host").text()),
                        text(m.get("state").text()),
                        number(m.get("ms")),
                        number(m.get("epoch")),
                        text(m.get("refusal").text())))
        + "}";
  }

  /** Whether the daemon answered, in a word: said, nobody, silent, denied, strange, failed. */
  private static String answer(Volume volume) {
    return volume.daemon().getClass().getSimpleName().toLowerCase(Locale.ROOT);
  }

  static String place(Volume volume) {
    return "\"uuid\":"
        + text(volume.uuid())
        + ",\"label\":"
        + text(volume.label())
        + ",\"device\":"
        + Json.string(volume.device())
        + ",\"number\":"
        + Json.string(volume.number())
        + ",\"mounts\":"
        + Json.list(volume.places(), Json::string);
  }

  private static String node(JsonValue node, boolean self, boolean owner) {
    return "{\"id\":"
        + text(node.get("id").text())
        + ",\"host\":"
        + text(node.get("host").text())
        + ",\"key\":"
        + text(node.get("key").text())
        + ",\"self\":"
        + self
        + ",\"owner\":"
        + owner
        + ",\"connected\":"
        + (self || node.get("connected").isTrue())
        + ",\"mounted\":"
        + (self ? "null" : node.get("mounted").isTrue())
        + ",\"address\":"
        + text(node.get("address").text())
        + ",\"heard_ms\":"
        + number(node.get("heard_ms"))
        + ",\"protocol\":"
        + number(node.get("protocol"))
        + ",\"trouble\":"
        + text(node.get("trouble").text())
        + "}";
  }

  private static String number(JsonValue value) {
    return value.isNull() ? "null" : Long.toString(value.number());
  }

  private static String text(@Nullable String text) {
    return text == null ? "null" : Json.string(text);
  }
}
