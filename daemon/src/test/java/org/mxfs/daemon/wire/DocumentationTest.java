// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.wire;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** The tables in docs/daemon.md are those that the code uses. */
class DocumentationTest {
  private static final Path PAGE = Path.of("../docs/daemon.md");
  private static final String BEGIN = "<!-- wire tables: begin -->\n";
  private static final String END = "<!-- wire tables: end -->";

  @Test
  void thePageShowsTheLayoutsOfTheCode() throws IOException {
    String tables =
        AnnouncementLayout.LAYOUT.markdown()
            + "\n"
            + FrameLayout.ALL.stream().map(Layout::markdown).collect(Collectors.joining("\n"));
    String page = Files.readString(PAGE);
    int begin = page.indexOf(BEGIN) + BEGIN.length();
    assertThat(page.substring(begin, page.indexOf(END)))
        .as("between the marks in %s; it must be:%n%s", PAGE, tables)
        .isEqualTo(tables);
  }
}
