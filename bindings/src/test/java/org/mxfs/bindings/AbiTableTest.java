// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.tools.ToolProvider;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The check behind every layout and constant can fail: each kind of mistake in a table ends the
 * build and is named.
 */
class AbiTableTest {
  private static final String HEADER =
      """
      #define SAMPLE_NAME "sample"
      enum sample_kind { SAMPLE_A = 1, SAMPLE_B };
      struct sample {
        unsigned int first;
        int second;
        unsigned short third;
        unsigned char bytes[6];
        void *pointer;
      };
      """;

  private static final String TABLE =
      """
      java org.example
      include <sample.h>
      include <asm/unistd.h>
      complete SAMPLE_ sample.h
      constants Sample names "Constants"
        SAMPLE_NAME "sample"
        SAMPLE_A 1
        SAMPLE_B 2
      struct sample 24 8 "a sample"
        first u32 0
        second s32 4
        third u16 8
        bytes bytes[6] 10
        pointer ptr 16
      calls Calls "Calls"
        int close(int fd) 3 57
      """;

  @TempDir static Path dir;
  private static @Nullable Method run;

  @BeforeAll
  static void compileTheGenerator() throws Exception {
    Path classes = Files.createDirectory(dir.resolve("classes"));
    int status =
        ToolProvider.getSystemJavaCompiler()
            .run(
                null,
                null,
                null,
                "-proc:none",
                "-d",
                classes.toString(),
                "src/build/AbiTable.java");
    assertThat(status).isZero();
    URLClassLoader loader = new URLClassLoader(new java.net.URL[] {classes.toUri().toURL()});
    run = loader.loadClass("AbiTable").getMethod("run", String[].class);
    Files.writeString(Files.createDirectory(dir.resolve("include")).resolve("sample.h"), HEADER);
  }

  private static void check(String table, String... options) throws IOException {
    Path file = Files.writeString(dir.resolve("sample.abi"), table);
    List<String> args =
        new ArrayList<>(
            List.of(
                "--java",
                dir.resolve("java").toString(),
                "--check",
                dir.resolve("check").toString(),
                "--include",
                dir.resolve("include").toString(),
                file.toString()));
    args.addAll(List.of(options));
    try {
      java.util.Objects.requireNonNull(run).invoke(null, (Object) args.toArray(String[]::new));
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof IOException io) {
        throw io;
      }
      throw new IllegalStateException(e);
    } catch (IllegalAccessException e) {
      throw new UncheckedIOException(new IOException(e));
    }
  }

  private static void refuses(String right, String wrong, String... says) {
    assertThat(TABLE).contains(right);
    assertThatExceptionOfType(IOException.class)
        .as("%s instead of %s", wrong, right)
        .isThrownBy(() -> check(TABLE.replace(right, wrong)))
        .withMessageContainingAll(says);
  }

  @Test
  void aRightTableIsTaken() throws IOException {
    assertThatCode(() -> check(TABLE)).doesNotThrowAnyException();
    assertThat(dir.resolve("java/org/example/sample.java"))
        .content()
        .contains("OFFSET_pointer = 16", "LENGTH_bytes = 6", "public static int third(");
    assertThat(dir.resolve("java/org/example/Sample.java"))
        .content()
        .contains("SAMPLE_B = 2", "SAMPLE_NAME = \"sample\"", "case 1 -> \"SAMPLE_A\"");
  }

  @Test
  void everyKindOfMistakeIsFoundAndNamedWithItsLine() {
    refuses("SAMPLE_B 2", "SAMPLE_B 3", "sample.abi:8", "SAMPLE_B is not 3");
    refuses("SAMPLE_A 1", "SAMPLE_A -1", "sample.abi:7");
    refuses("\"sample\"", "\"simple\"", "sample.abi:6");
    refuses("sample 24 8", "sample 32 8", "sample.abi:9", "size");
    refuses("sample 24 8", "sample 24 4", "sample.abi:9", "alignment");
    refuses("first u32 0", "first u32 4", "sample.abi:10", "offset");
    refuses("first u32 0", "first s32 0", "sample.abi:10", "is unsigned");
    refuses("second s32 4", "second u32 4", "sample.abi:11", "is signed");
    refuses("third u16 8", "third u32 8", "sample.abi:12", "size");
    refuses("bytes[6] 10", "bytes[8] 10", "sample.abi:13", "size");
    refuses("pointer ptr 16", "pointer u64 16", "sample.abi:14");
    refuses("close(int fd) 3 57", "close(int fd) 4 57", "sample.abi:16", "close: number");
    refuses("close(int fd) 3 57", "close(int fd) 3 58", "sample.abi:16", "generic number");
  }

  /** On x86-64 nothing but the cross compiler knows what this constant is on aarch64. */
  @Test
  void theOtherArchitectureIsCheckedByItsOwnCompiler() throws IOException {
    String[] cross = {"--cross", "aarch64-linux-gnu-gcc"};
    assumeTrue(
        !printed(() -> check(TABLE, cross)).contains("NOT CHECKED"),
        "did not run: no aarch64-linux-gnu-gcc (Debian: gcc-aarch64-linux-gnu,"
            + " libc6-dev-arm64-cross, linux-libc-dev-arm64-cross)");
    String table =
        TABLE
            .replace("complete SAMPLE_ sample.h\n", "include <fcntl.h>\n")
            .replace("  SAMPLE_B 2\n", "  O_DIRECT 0x4000 aarch64=0x10000\n");
    assertThatCode(() -> check(table, cross)).doesNotThrowAnyException();
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(() -> check(table.replace("0x10000", "0x4000"), cross))
        .withMessageContainingAll("sample.abi:8", "O_DIRECT is not 0x4000");
  }

  @Test
  void aMissingCrossCompilerIsSaid() throws IOException {
    assertThat(printed(() -> check(TABLE, "--cross", "no-such-compiler")))
        .contains("NOT CHECKED", "no-such-compiler", "gcc-aarch64-linux-gnu");
  }

  private interface Action {
    void run() throws IOException;
  }

  private static String printed(Action action) throws IOException {
    PrintStream before = System.out;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
    try {
      action.run();
    } finally {
      System.setOut(before);
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @Test
  void swappedFieldsAreFound() {
    refuses("first u32 0\n  second s32 4", "second u32 0\n  first s32 4", "offset");
  }

  @Test
  void whatTheHeaderHasAndTheTableLacksIsFound() {
    refuses("  SAMPLE_B 2\n", "", "SAMPLE_B");
    refuses("  SAMPLE_NAME \"sample\"\n", "", "SAMPLE_NAME");
    refuses(
        TABLE.substring(TABLE.indexOf("struct sample"), TABLE.indexOf("calls")),
        "",
        "struct sample");
  }

  @Test
  void aTableThatCannotBeReadIsRefusedWithItsLine() {
    refuses("constants Sample names", "constance Sample names", "sample.abi:5", "constance");
    refuses("int close(int fd) 3 57", "int close(int fd) 3", "sample.abi:16", "not a call");
    refuses("int close(int fd)", "int close(int fd[9)", "sample.abi:16", "not a parameter");
    refuses("int close(int fd)", "int close(int fd:pollfd)", "sample.abi:16", "not a parameter");
  }
}
