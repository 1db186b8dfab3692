// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A third witness where it is installed: jextract reads the same headers with clang, on its own.
 *
 * <p>Runs with {@code mvn -Pjextract}; without jextract on the path it says that it did not run.
 * What does the comparing is tested in {@link JextractViewTest}, everywhere.
 */
@Tag("jextract")
class JextractTest {
  private static final Path TABLE = Path.of("src/main/abi/linux.abi");
  private static final String PACKAGE = "view";

  @TempDir Path dir;

  @Test
  void jextractSeesTheSameHeadersAsTheTable() throws Exception {
    Optional<Path> jextract = onThePath("jextract");
    assumeTrue(
        jextract.isPresent(),
        "did not run: jextract is not on the path; it is a download of its own of the OpenJDK"
            + " project, for the version of this JDK or a newer one");
    Path sources = regenerate(jextract.orElseThrow());
    Path classes = Files.createDirectory(dir.resolve("classes"));
    List<String> differences = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    int constants = 0;
    try (JextractView view = JextractView.compile(sources, classes, PACKAGE, "headers_h")) {
      for (String name : names("struct")) {
        differences.addAll(view.compareStruct(tableClass(name)));
      }
      for (String name : names("constants")) {
        differences.addAll(view.compareConstants(tableClass(name)));
        missing.addAll(view.missingConstants(tableClass(name)));
        constants += tableClass(name).getFields().length;
      }
    }
    System.out.println("jextract: " + constants + " constants compared but for " + missing);
    assertThat(differences).isEmpty();
    // Macros that are no plain expressions are beyond it; if they were many, nothing was compared.
    assertThat(missing).hasSizeLessThan(constants / 5);
  }

  private Path regenerate(Path jextract) throws IOException, InterruptedException {
    StringBuilder header = new StringBuilder("#define _GNU_SOURCE\n");
    names("include").forEach(h -> header.append("#include ").append(h).append('\n'));
    Path file = Files.writeString(dir.resolve("headers.h"), header);
    Path out = dir.resolve("sources");
    Path log = dir.resolve("jextract.log");
    int status =
        new ProcessBuilder(
                jextract.toString(),
                "--output",
                out.toString(),
                "--target-package",
                PACKAGE,
                "--header-class-name",
                "headers_h",
                "--include-dir",
                Path.of("../kmod/include/uapi").toAbsolutePath().toString(),
                file.toString())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start()
            .waitFor();
    assertThat(status).as("jextract's end:%n%s", Files.readString(log)).isZero();
    return out;
  }

  private static Optional<Path> onThePath(String program) {
    return Stream.of(System.getenv("PATH").split(":"))
        .map(folder -> Path.of(folder, program))
        .filter(Files::isExecutable)
        .findFirst();
  }

  /** The second words of the table's lines that begin with {@code head}. */
  private static List<String> names(String head) throws IOException {
    return Files.readAllLines(TABLE).stream()
        .filter(line -> line.startsWith(head + " "))
        .map(line -> line.split("\\s+")[1])
        .toList();
  }

  private static Class<?> tableClass(String name) throws ClassNotFoundException {
    return Class.forName("org.mxfs.bindings.linux." + name);
  }
}
