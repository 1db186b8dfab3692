// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.wire;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.statestore.JournalLayout;

/** The tables in docs/daemon.md are those that the code uses. */
class DocumentationTest {
  private static final Path PAGE = Path.of("../docs/daemon.md");

  @Test
  void thePageShowsTheLayoutsOfTheCode() throws IOException {
    check(
        "wire tables",
        AnnouncementLayout.LAYOUT.markdown()
            + "\n"
            + FrameLayout.ALL.stream().map(Layout::markdown).collect(Collectors.joining("\n")));
  }

  @Test
  void thePageShowsTheLayoutsOfTheJournal() throws IOException {
    check(
        "journal tables",
        JournalLayout.ALL.stream().map(Layout::markdown).collect(Collectors.joining("\n")));
  }

  @Test
  void thePageShowsTheLayoutOfTheLockState() throws IOException {
    check("lock state tables", SlotLayout.LAYOUT.markdown());
  }

  private static void check(String name, String tables) throws IOException {
    String begin = "<!-- " + name + ": begin -->\n";
    String page = Files.readString(PAGE);
    assertThat(page).contains(begin);
    int from = page.indexOf(begin) + begin.length();
    assertThat(page.substring(from, page.indexOf("<!-- " + name + ": end -->")))
        .as("between the marks in %s; it must be:%n%s", PAGE, tables)
        .isEqualTo(tables);
  }
}
