// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class JsonValueTest {
  @Test
  void allKindsAreRead() throws JsonValue.MalformedException {
    JsonValue read =
        JsonValue.read(
            " {\"a\" : [1,-2, 3.5e1,true,false,null,{}, []], \"b\":\"x\\\"\\\\\\/\\b\\f\\n"
                + "\\r"
                + "\\t\\u00e9é\"} ");
    List<JsonValue> items = read.get("a").list();
    assertThat(items).hasSize(8);
    assertThat(items.get(1).number()).isEqualTo(-2);
    assertThat(items.get(2).number()).isEqualTo(35);
    assertThat(items.get(3).isTrue()).isTrue();
    assertThat(items.get(4).isTrue()).isFalse();
    assertThat(items.get(5).isNull()).isTrue();
    assertThat(read.get("b").text()).isEqualTo("x\"\\/\b\f\n\r\téé");
  }

  @Test
  void numbersOf64BitsAreExact() throws JsonValue.MalformedException {
    assertThat(JsonValue.read("9223372036854775807").number()).isEqualTo(Long.MAX_VALUE);
    assertThat(JsonValue.read("9007199254740993").number()).isEqualTo(9_007_199_254_740_993L);
  }

  @Test
  void whatIsNotThereIsNothing() throws JsonValue.MalformedException {
    JsonValue read = JsonValue.read("{\"a\":\"text\"}");
    assertThat(read.get("b").get("c").isNull()).isTrue();
    assertThat(read.get("a").number()).isZero();
    assertThat(read.get("a").list()).isEmpty();
    assertThat(read.get("b").text()).isNull();
    assertThat(read.get("b").textOr("none")).isEqualTo("none");
  }

  @Test
  void whatJsonWritesIsReadBack() throws JsonValue.MalformedException {
    for (String text : List.of("", "a\"b\\c\n\u0000\u001b\u009b\u202e\ud83d\ude00é", "\ud800")) {
      assertThat(JsonValue.read(Json.string(text)).text()).isEqualTo(text);
    }
  }

  @Test
  void whatIsNoJsonIsRefused() {
    for (String text :
        List.of(
            "",
            " ",
            "{",
            "[",
            "{\"a\"}",
            "{\"a\":}",
            "[1,]",
            "{\"a\":1,}",
            "tru",
            "nul",
            "1 2",
            "--1",
            "+",
            "1e",
            "\"",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "{a:1}",
            "[".repeat(1_000_000))) {
      assertThatThrownBy(() -> JsonValue.read(text))
          .as(text.length() > 20 ? "many brackets" : text)
          .isInstanceOf(JsonValue.MalformedException.class);
    }
  }
}
