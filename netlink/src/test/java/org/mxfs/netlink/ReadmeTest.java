// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The example in the README is the code in {@link ReadmeExample}, and that works. */
class ReadmeTest {
  @Test
  void theExampleInTheReadmeIsTheOneThatIsCompiled() throws IOException {
    String source =
        Files.readString(
            Path.of("src/test/java", ReadmeExample.class.getName().replace('.', '/') + ".java"));
    String code = part(source, "    // README begins\n(.*?)\n    // README ends");
    assertThat(part(Files.readString(Path.of("README.md")), "```java\n(.*?)\n```"))
        .isEqualTo(code.stripIndent());
  }

  private static String part(String text, String pattern) {
    Matcher matcher = Pattern.compile(pattern, Pattern.DOTALL).matcher(text);
    assertThat(matcher.find()).as(pattern).isTrue();
    return matcher.group(1);
  }

  @Test
  void theExampleRuns() throws Exception {
    PrintStream before = System.out;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
    try {
      ReadmeExample.main();
    } finally {
      System.setOut(before);
    }
    assertThat(printed.toString(StandardCharsets.UTF_8))
        .contains("nlctrl is number 16", "no-such-family: ENOENT");
  }
}
