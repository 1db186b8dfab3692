// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core;

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

/**
 * Plants a mistake into a source and sees what a check says of it: a line is changed, the class is
 * compiled, and the check runs over it in a class loader of its own. So nothing in the code itself
 * knows of this.
 */
public final class PlantedBug {
  private static final Path SOURCES = Path.of("src/main/java");

  private PlantedBug() {}

  /**
   * Plants one.
   *
   * @param source a file of the check's package
   * @param right what stands in it once; white space may differ
   * @param wrong what stands there instead
   * @param check its {@code static void find(long seeds)} throws an AssertionError at a mistake
   * @param folder where the changed class may be
   * @return what the check found; null: nothing
   */
  public static @Nullable Throwable find(
      String source, String right, String wrong, Class<?> check, long seeds, Path folder)
      throws Exception {
    Path file = SOURCES.resolve(check.getPackageName().replace('.', '/')).resolve(source);
    compile(file, right, wrong, folder);
    try (Planted loader = new Planted(folder, check)) {
      Method find = loader.loadClass(check.getName()).getDeclaredMethod("find", long.class);
      find.setAccessible(true);
      find.invoke(null, seeds);
      return null;
    } catch (InvocationTargetException found) {
      assertThat(found.getCause()).isInstanceOf(AssertionError.class);
      return found.getCause();
    }
  }

  private static void compile(Path file, String right, String wrong, Path folder)
      throws IOException {
    String source = Files.readString(file);
    Pattern line =
        Pattern.compile(
            Stream.of(right.split("\\s+")).map(Pattern::quote).collect(joining("\\s+")));
    assertThat(line.matcher(source).results().count())
        .as("the line to be changed stands once in " + file)
        .isEqualTo(1);
    Path changed = Files.createDirectories(folder.resolve("source")).resolve(file.getFileName());
    Files.writeString(changed, line.matcher(source).replaceFirst(Matcher.quoteReplacement(wrong)));
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

  /** The check's package, with the changed class, apart from the one that is loaded already. */
  private static final class Planted extends URLClassLoader {
    private final String prefix;

    Planted(Path folder, Class<?> check) throws IOException {
      super(
          new URL[] {folder.toUri().toURL(), place(ReservationKey.class), place(check)},
          check.getClassLoader());
      prefix = check.getPackageName() + ".";
    }

    /** Of classes, or of tests: a package has both. */
    private static URL place(Class<?> type) {
      return type.getProtectionDomain().getCodeSource().getLocation();
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.startsWith(prefix)) {
        return super.loadClass(name, resolve);
      }
      synchronized (getClassLoadingLock(name)) {
        Class<?> loaded = findLoadedClass(name);
        return loaded == null ? findClass(name) : loaded;
      }
    }
  }
}
