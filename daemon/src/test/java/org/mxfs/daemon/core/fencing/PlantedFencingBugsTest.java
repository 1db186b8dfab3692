// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.fencing;

import static java.util.stream.Collectors.joining;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Plants one mistake at a time into {@link Proof} and sees that the model finds it: a line is
 * changed, the class is compiled, and the model runs over it in a class loader of its own.
 */
class PlantedFencingBugsTest {
  private static final Path SOURCE =
      Path.of("src/main/java/org/mxfs/daemon/core/fencing/Proof.java");
  private static final String PACKAGE = "org.mxfs.daemon.core.fencing.";
  private static final long SEEDS = 300_000;

  enum Bug {
    GOOD_OF_A_PREEMPT_IS_BELIEVED(
        "case FenceCommand.Preempt _ -> stage = stage == Stage.ABORTING"
            + " && answer instanceof ArrayAnswer.Done ? Stage.ABORTED : Stage.NOTHING;",
        "case FenceCommand.Preempt _ -> { if (answer instanceof ArrayAnswer.Done) {"
            + " prove(new End.Aborted(), own); } }"),
    THE_RESERVATION_IS_NOT_LOOKED_AT(
        "stage = Stage.GONE;\n      generation = keys.generation();",
        "stage = Stage.SHUT_OUT;\n      generation = keys.generation();\n      holder = own;\n"
            + "      shutOutAtMillis = askedAtMillis + 1;"),
    A_DISK_WITHOUT_A_RESERVATION_WILL_DO(
        "boolean reserved = !reservation.holder().isNone() && reservation.type() == TYPE;",
        "boolean reserved = reservation.type() < 9;"),
    NO_LAST_READING(
        "stage = answer instanceof ArrayAnswer.Done ? Stage.ENDED : Stage.SHUT_OUT;",
        "if (answer instanceof ArrayAnswer.Done) { prove(new End.Reset(), holder); }"),
    NO_END_OF_WHAT_WAS_UNDER_WAY(
        "if (askedAtMillis >= lifeEndsAtMillis()) {", "if (askedAtMillis >= 0) {"),
    THE_WAIT_ENDS_BEFORE_THE_LAST_QUESTION(
        "private void sawKeys(ArrayAnswer.Keys keys, long askedAtMillis) {",
        "private void sawKeys(ArrayAnswer.Keys keys, long askedAt) {\n"
            + "    long askedAtMillis = askedAt + 2;"),
    THE_WAIT_IS_COUNTED_FROM_THE_QUESTION(
        "sawReservation(reservation, now);", "sawReservation(reservation, asked.askedAtMillis());"),
    THE_WAIT_IS_SHORTER_THAN_A_COMMAND_LIVES(
        "return shutOutAtMillis + settings.commandLifeMillis();",
        "return shutOutAtMillis + settings.timeoutMillis();"),
    A_RESET_BEFORE_THE_PROOF_COUNTS(
        "if (stage == Stage.SHUT_OUT && settings.resetEndsAll()) {",
        "if (stage != Stage.NOTHING && settings.resetEndsAll()) {"),
    A_RESET_OF_UNKNOWN_OUTCOME_COUNTS(
        "stage = answer instanceof ArrayAnswer.Done ? Stage.ENDED : Stage.SHUT_OUT;",
        "stage = Stage.ENDED;"),
    CHANGES_IN_BETWEEN_DO_NOT_MATTER(
        "boolean same = keys.generation() == generation;", "boolean same = true;"),
    WHO_SHUT_IT_OUT_DOES_NOT_MATTER(
        "boolean next = keys.generation() == (generation + 1) % GENERATIONS;",
        "boolean next = true;"),
    WHETHER_IT_WAS_RESERVED_BEFORE_DOES_NOT_MATTER(
        "preempt.abort() && settings.abortEndsAll() && stage == Stage.GUARDED",
        "preempt.abort() && settings.abortEndsAll() && isRegistered()"),
    AN_ABORT_OF_UNKNOWN_OUTCOME_COUNTS(
        "stage == Stage.ABORTING && answer instanceof ArrayAnswer.Done"
            + " ? Stage.ABORTED : Stage.NOTHING",
        "stage == Stage.ABORTING ? Stage.ABORTED : Stage.NOTHING"),
    AN_OLD_ANSWER_IS_BELIEVED(
        "if (asked == null || asked.number() != question) {", "if (asked == null) {"),
    REGISTERING_AGAIN_DOES_NOT_MATTER(
        "void registering() {\n    lost = true;", "void registering() {");

    final String right;
    final String wrong;

    Bug(String right, String wrong) {
      this.right = right;
      this.wrong = wrong;
    }
  }

  @ParameterizedTest
  @EnumSource
  void eachIsFound(Bug bug, @TempDir Path folder) throws Exception {
    compile(bug, folder);
    try (Planted loader = new Planted(folder)) {
      Throwable found = find(loader.loadClass(FencingModel.class.getName()));
      assertThat(found).as("what finds " + bug).isInstanceOf(AssertionError.class);
      assertThat(found).hasMessageContaining("and yet Fenced");
    }
  }

  private static @Nullable Throwable find(Class<?> model) throws Exception {
    Method find = model.getDeclaredMethod("find", long.class);
    find.setAccessible(true);
    try {
      find.invoke(null, SEEDS);
      return null;
    } catch (InvocationTargetException found) {
      return found.getCause();
    }
  }

  private static void compile(Bug bug, Path folder) throws IOException {
    String source = Files.readString(SOURCE);
    Pattern right =
        Pattern.compile(
            Stream.of(bug.right.split("\\s+")).map(Pattern::quote).collect(joining("\\s+")));
    assertThat(right.matcher(source).results().count())
        .as("the line to be changed stands once")
        .isEqualTo(1);
    Path changed = Files.createDirectories(folder.resolve("source")).resolve("Proof.java");
    Files.writeString(
        changed, right.matcher(source).replaceFirst(Matcher.quoteReplacement(bug.wrong)));
    JavaCompiler compiler = Objects.requireNonNull(ToolProvider.getSystemJavaCompiler());
    DiagnosticCollector<JavaFileObject> problems = new DiagnosticCollector<>();
    try (StandardJavaFileManager files = compiler.getStandardFileManager(problems, null, null)) {
      List<String> options =
          List.of(
              "-proc:none",
              "-nowarn",
              "-d",
              folder.toString(),
              "-cp",
              System.getProperty("java.class.path"));
      boolean done =
          compiler
              .getTask(null, files, problems, options, null, files.getJavaFileObjects(changed))
              .call();
      assertThat(done).as("compiles: " + problems.getDiagnostics()).isTrue();
    }
  }

  /** The package, with the changed class, apart from the one that is loaded already. */
  private static final class Planted extends URLClassLoader {
    Planted(Path folder) {
      super(
          new URL[] {url(folder), place(Fencing.class), place(FencingModel.class)},
          FencingModel.class.getClassLoader());
    }

    private static URL url(Path folder) {
      try {
        return folder.toUri().toURL();
      } catch (IOException impossible) {
        throw new IllegalArgumentException(impossible);
      }
    }

    private static URL place(Class<?> type) {
      return type.getProtectionDomain().getCodeSource().getLocation();
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.startsWith(PACKAGE)) {
        return super.loadClass(name, resolve);
      }
      synchronized (getClassLoadingLock(name)) {
        Class<?> loaded = findLoadedClass(name);
        return loaded == null ? findClass(name) : loaded;
      }
    }
  }
}
