// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.mxfs.bindings.linux.io_uring_sqe;
import org.mxfs.bindings.linux.nlmsghdr;

/**
 * The comparison with jextract finds what differs; shown with sources in the shape that jextract
 * generates, for one plain structure, one with an unnamed union and another inside it, and some
 * constants.
 */
class JextractViewTest {
  /** Stands for a class made from the table; the real ones have no nested structure so small. */
  public static final class outer {
    public static final int SIZE = 24;
    public static final int ALIGN = 8;
    public static final int OFFSET_kind = 0;
    public static final int BYTES_kind = 4;
    public static final int OFFSET_off = 8;
    public static final int BYTES_off = 8;
    public static final int OFFSET_in_ner_head = 16;
    public static final int BYTES_in_ner_head = 4;
    public static final int OFFSET_in_ner_pad = 20;
    public static final int LENGTH_in_ner_pad = 4;

    private outer() {}
  }

  /** Stands for a class of constants. */
  public static final class Names {
    public static final int ONE = 1;
    public static final int MINUS = -1;
    public static final long WIDE = 0x80000000L;
    public static final String TEXT = "text";
    public static final int ABSENT = 7;

    private Names() {}
  }

  private static final String HEAD =
      """
      package view;
      import java.lang.foreign.*;
      import static java.lang.foreign.MemoryLayout.PathElement.*;
      """;

  private static final String HEADER =
      HEAD
          + """
          public class headers_h extends headers_h_1 {
            public static final ValueLayout.OfInt C_INT = ValueLayout.JAVA_INT;
            private static final int MINUS = (int)-1L;
            public static int MINUS() { return MINUS; }
            public static MemorySegment TEXT() {
              class Holder {
                static final MemorySegment TEXT = Arena.global().allocateFrom("text");
              }
              return Holder.TEXT;
            }
          }
          """;

  private static final String HEADER_1 =
      HEAD
          + """
          public class headers_h_1 {
            private static final int ONE = (int)1L;
            public static int ONE() { return ONE; }
            private static final long WIDE = 2147483648L;
            public static long WIDE() { return WIDE; }
          }
          """;

  private static final String OUTER =
      HEAD
          + """
          public class outer {
            private static final GroupLayout $LAYOUT = MemoryLayout.structLayout(
              headers_h.C_INT.withName("kind"),
              MemoryLayout.paddingLayout(4),
              MemoryLayout.unionLayout(
                ValueLayout.JAVA_LONG.withName("off"),
                ValueLayout.JAVA_LONG.withName("addr2")
              ).withName("$anon$1"),
              MemoryLayout.structLayout(
                headers_h.C_INT.withName("head"),
                MemoryLayout.sequenceLayout(4, ValueLayout.JAVA_BYTE).withName("pad")
              ).withName("in_ner")
            ).withName("outer");
            public static final GroupLayout layout() { return $LAYOUT; }
            private static final ValueLayout.OfInt kind$LAYOUT =
                (ValueLayout.OfInt)$LAYOUT.select(groupElement("kind"));
            public static final ValueLayout.OfInt kind$layout() { return kind$LAYOUT; }
            public static final long kind$offset() { return 0; }
            private static final ValueLayout.OfLong off$LAYOUT =
                (ValueLayout.OfLong)$LAYOUT.select(groupElement("$anon$1"), groupElement("off"));
            public static final ValueLayout.OfLong off$layout() { return off$LAYOUT; }
            public static final long off$offset() { return 8; }
            private static final GroupLayout in_ner$LAYOUT =
                (GroupLayout)$LAYOUT.select(groupElement("in_ner"));
            public static final GroupLayout in_ner$layout() { return in_ner$LAYOUT; }
            public static final long in_ner$offset() { return 16; }
          }
          """;

  @TempDir Path dir;

  private JextractView view(String outer) throws Exception {
    Path sources = Files.createDirectories(Files.createTempDirectory(dir, "s").resolve("view"));
    Files.writeString(sources.resolve("headers_h.java"), HEADER);
    Files.writeString(sources.resolve("headers_h_1.java"), HEADER_1);
    Files.writeString(sources.resolve("outer.java"), outer);
    return JextractView.compile(sources, Files.createTempDirectory(dir, "c"), "view", "headers_h");
  }

  private List<String> differences(String right, String wrong) throws Exception {
    assertThat(OUTER).contains(right);
    try (JextractView view = view(OUTER.replace(right, wrong))) {
      return view.compareStruct(outer.class);
    }
  }

  @Test
  void whatAgreesHasNoDifference() throws Exception {
    try (JextractView view = view(OUTER)) {
      assertThat(view.compareStruct(outer.class)).isEmpty();
      assertThat(view.compareConstants(Names.class)).isEmpty();
      assertThat(view.missingConstants(Names.class)).containsExactly("ABSENT");
    }
  }

  @Test
  void offsetsSizesAndMissingFieldsAreTold() throws Exception {
    assertThat(differences("off$offset() { return 8; }", "off$offset() { return 0; }"))
        .containsExactly("outer.off: offset: 8 in the table, 0 by jextract");
    assertThat(differences("sequenceLayout(4,", "sequenceLayout(12,"))
        .containsExactly(
            "outer: size: 24 in the table, 32 by jextract",
            "outer.in_ner_pad: size: 4 in the table, 12 by jextract");
    assertThat(differences("kind$offset", "sort$offset"))
        .containsExactly("jextract has no field outer.kind");
    assertThat(differences("withName(\"head\")", "withName(\"tail\")"))
        .containsExactly("jextract has no field outer.in_ner_head");
  }

  @Test
  void constantsThatDifferAreTold() throws Exception {
    try (JextractView view = view(OUTER)) {
      assertThat(view.compareConstants(WrongNames.class))
          .containsExactlyInAnyOrder(
              "ONE: 2 in the table, 1 by jextract",
              "MINUS: 4294967295 in the table, -1 by jextract");
    }
  }

  /** Two wrong ones. */
  public static final class WrongNames {
    public static final int ONE = 2;
    public static final long MINUS = 0xffffffffL;

    private WrongNames() {}
  }

  @Test
  void aMissingStructureIsTold() throws Exception {
    try (JextractView view = view(OUTER)) {
      assertThat(view.compareStruct(nlmsghdr.class))
          .containsExactly("jextract has no struct nlmsghdr");
    }
  }

  @Test
  void theTablesClassesHaveWhatTheComparisonReads() throws Exception {
    assertThat(io_uring_sqe.BYTES_off).isEqualTo(8);
    assertThat(io_uring_sqe.BYTES_opcode).isEqualTo(1);
    assertThat(nlmsghdr.BYTES_nlmsg_type).isEqualTo(2);
  }
}
