// SPDX-License-Identifier: Apache-2.0

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Turns the tables in {@code src/main/abi} into Java classes, and into C assertions that the system's compiler
 * checks at once against the system's headers. No layout, constant or system call number is typed a second time
 * anywhere, and none reaches Java that the C compiler did not confirm in the same build.
 *
 * <p>Run by the build: {@code java AbiTable.java --java DIR --check DIR --cc CC [--cross CC] [--include DIR] TABLE...}
 * The cross compiler checks the same claims for another architecture, where it is installed; where it is not, that is said.
 *
 * <p>A table is read line by line; {@code #} starts a comment, {@code "…"} at the end of a head line is its Javadoc:
 *
 * <pre>
 * java PACKAGE                          package of the generated classes
 * include &lt;HEADER&gt;                      for the C side
 * complete PREFIX HEADER                every macro and enumerator of HEADER that starts with PREFIX must be in this table
 * except NAME                           … but for this one
 * constants CLASS [names] "…"           then one per line: NAME VALUE [aarch64=VALUE], VALUE a number or a "string";
 *                                       `names` adds nameOf(value)
 * struct NAME SIZE ALIGN "…"            then one per line: FIELD TYPE OFFSET
 *                                       TYPE: u8 u16 u32 u64 s8 s16 s32 s64 ptr, or bytes[N]; FIELD may be a path (a.b);
 *                                       b32: 32 bits whose sign in C differs between versions of the headers
 * calls CLASS "…"                       then one per line: TYPE NAME(TYPE NAME, …) X86_64 AARCH64, TYPE: int long ptr
 *                                       how much a call may touch behind a pointer, checked before it is made:
 *                                       ptr buf[len]      as many bytes as parameter len says
 *                                       ptr iov[n*iovec]  n structures of the table
 *                                       ptr addr[*len]    as many bytes as the 32 bit number behind pointer len
 *                                       ptr msg:msghdr    a structure of the table; msg:msghdr? may be NULL
 *                                       ptr path:text     text up to its NUL
 * </pre>
 */
public final class AbiTable {
  private static final Pattern DOC = Pattern.compile("\\s+\"([^\"]*)\"\\s*$");
  private static final Pattern PARAMETER = Pattern.compile("(int|long|ptr)\\s+(\\w+)((?:\\[\\*?\\w+(?:\\*\\w+)?]|:\\w+\\??)?)");
  private static final Pattern CALL = Pattern.compile("(int|long)\\s+(\\w+)\\(([^)]*)\\)\\s+(\\d+)\\s+(\\d+)");

  private record Constant(int line, String name, String value, String aarch64) {}

  private record Constants(String type, boolean names, String doc, List<Constant> list) {}

  private record Field(int line, String path, String type, int offset) {
    String java() {
      return path.replace('.', '_');
    }
  }

  private record Struct(int line, String name, int size, int align, String doc, List<Field> fields) {}

  private record Parameter(String type, String name, String bound) {
    boolean isPointer() {
      return type.equals("ptr");
    }

    /** The statement that checks the bound, or nothing. */
    String check() {
      String method = bound.endsWith("?") ? "requireUnlessNull" : "require";
      String length = bound.replaceAll("[\\[\\]:?]", "");
      if (bound.equals(":text")) {
        return bounds("requireText", name);
      } else if (bound.startsWith(":")) {
        return bounds(method, name + ", " + length + ".SIZE");
      } else if (bound.startsWith("[*")) {
        return bounds("requireBehind", name + ", " + length.substring(1));
      } else if (bound.contains("*")) {
        return bounds("requireArray", name + ", " + length.replace("*", ", ") + ".SIZE");
      }
      return bound.isEmpty() ? "" : bounds(method, name + ", " + length);
    }

    private String bounds(String method, String arguments) {
      return "    org.mxfs.bindings.Bounds." + method + "(" + arguments + ", \"" + name + "\");\n";
    }
  }

  private record Call(int line, String result, String name, List<Parameter> parameters, String x86, String aarch64) {}

  private record Calls(String type, String doc, List<Call> list) {}

  private record Complete(int line, String prefix, String header) {}

  private final Path file;
  private String javaPackage = "";
  private final List<String> includes = new ArrayList<>();
  private final List<Complete> complete = new ArrayList<>();
  private final Set<String> known = new TreeSet<>();
  private final List<Constants> constants = new ArrayList<>();
  private final List<Struct> structs = new ArrayList<>();
  private final List<Calls> calls = new ArrayList<>();

  private AbiTable(Path file) {
    this.file = file;
  }

  public static void main(String[] args) throws InterruptedException {
    try {
      run(args);
    } catch (IOException e) {
      System.err.println(e.getMessage());
      System.exit(1);
    }
  }

  /**
   * Checks the tables and generates from them.
   *
   * @throws IOException if a table disagrees with the headers, or cannot be read or checked; the text is for the person who builds
   */
  public static void run(String... args) throws IOException, InterruptedException {
    Path java = null;
    Path check = null;
    String cc = "cc";
    String cross = "";
    List<String> include = new ArrayList<>();
    List<Path> tables = new ArrayList<>();
    for (int i = 0; i < args.length; i++) {
      switch (args[i]) {
        case "--java" -> java = Path.of(args[++i]);
        case "--check" -> check = Path.of(args[++i]);
        case "--cc" -> cc = args[++i];
        case "--cross" -> cross = args[++i];
        case "--include" -> include.add(args[++i]);
        default -> tables.add(Path.of(args[i]));
      }
    }
    if (java == null || check == null || tables.isEmpty()) {
      throw new IOException("usage: AbiTable --java DIR --check DIR [--cc CC] [--cross CC] [--include DIR]... TABLE...");
    }
    Files.createDirectories(check);
    List<String> compilers = new ArrayList<>(List.of(cc));
    if (isInstalled(cross)) {
      compilers.add(cross);
    } else if (!cross.isEmpty()) {
      System.out.println("NOT CHECKED for another architecture: there is no " + cross + " (Debian: gcc-aarch64-linux-gnu,"
          + " libc6-dev-arm64-cross, linux-libc-dev-arm64-cross)");
    }
    for (Path file : tables) {
      AbiTable table = new AbiTable(file);
      table.parse();
      String name = file.getFileName().toString().replace(".abi", "");
      Path c = check.resolve(name + "_check.c");
      Files.writeString(c, table.checkSource());
      for (String compiler : compilers) {
        compile(compiler, include, c);
      }
      if (!table.calls.isEmpty()) {
        Path generic = check.resolve(name + "_generic_check.c");
        Files.writeString(generic, table.genericCallSource());
        compile(cc, include, generic);
      }
      table.checkComplete(include);
      table.writeJava(java);
    }
  }

  // ---- reading ----

  private void parse() throws IOException {
    List<String> lines = Files.readAllLines(file);
    List<Constant> inConstants = null;
    List<Field> inStruct = null;
    List<Call> inCalls = null;
    for (int n = 1; n <= lines.size(); n++) {
      String raw = lines.get(n - 1);
      int hash = raw.indexOf('#');
      String line = hash < 0 ? raw : raw.substring(0, hash);
      if (line.isBlank()) {
        continue;
      }
      boolean head = !Character.isWhitespace(line.charAt(0));
      String doc = "";
      if (head) {
        inConstants = null;
        inStruct = null;
        inCalls = null;
        Matcher m = DOC.matcher(line);
        if (m.find()) {
          doc = m.group(1);
          line = line.substring(0, m.start());
        }
      }
      String[] w = line.trim().split("\\s+");
      if (head) {
        switch (w[0]) {
          case "java" -> javaPackage = w[1];
          case "include" -> includes.add(w[1]);
          case "complete" -> complete.add(new Complete(n, w[1], w[2]));
          case "except" -> known.add(w[1]);
          case "constants" -> {
            inConstants = new ArrayList<>();
            constants.add(new Constants(w[1], w.length > 2 && w[2].equals("names"), doc, inConstants));
          }
          case "struct" -> {
            inStruct = new ArrayList<>();
            structs.add(new Struct(n, w[1], Integer.parseInt(w[2]), Integer.parseInt(w[3]), doc, inStruct));
          }
          case "calls" -> {
            inCalls = new ArrayList<>();
            calls.add(new Calls(w[1], doc, inCalls));
          }
          default -> throw bad(n, "unknown head '" + w[0] + "'");
        }
      } else if (inConstants != null) {
        String other = w.length > 2 && w[2].startsWith("aarch64=") ? w[2].substring(8) : w[1];
        inConstants.add(new Constant(n, w[0], w[1], other));
        known.add(w[0]);
      } else if (inStruct != null) {
        inStruct.add(new Field(n, w[0], w[1], Integer.parseInt(w[2])));
      } else if (inCalls != null) {
        Matcher m = CALL.matcher(line.trim());
        if (!m.matches()) {
          throw bad(n, "not a call: " + line.trim());
        }
        List<Parameter> parameters = new ArrayList<>();
        if (!m.group(3).isBlank()) {
          for (String text : m.group(3).split(",")) {
            Matcher p = PARAMETER.matcher(text.trim());
            if (!p.matches() || (!p.group(1).equals("ptr") && !p.group(3).isEmpty())) {
              throw bad(n, "not a parameter: " + text.trim());
            }
            parameters.add(new Parameter(p.group(1), p.group(2), p.group(3)));
          }
        }
        inCalls.add(new Call(n, m.group(1), m.group(2), parameters, m.group(4), m.group(5)));
      } else {
        throw bad(n, "a line outside any block");
      }
    }
  }

  private IOException bad(int line, String what) {
    return new IOException(file + ":" + line + ": " + what);
  }

  // ---- the C side ----

  private StringBuilder cHead(List<String> headers) {
    StringBuilder c = new StringBuilder("#define _GNU_SOURCE\n#include <stddef.h>\n");
    headers.forEach(h -> c.append("#include ").append(h).append('\n'));
    return c;
  }

  /** With the table's own line in front, so that the compiler's message points into the table. */
  private void claim(StringBuilder c, int line, String condition, String text) {
    c.append("#line ").append(line).append(" \"").append(file).append("\"\n");
    c.append("_Static_assert(").append(condition).append(", \"").append(text.replace("\"", "'")).append("\");\n");
  }

  private String checkSource() {
    StringBuilder c = cHead(includes);
    for (Constants group : constants) {
      for (Constant k : group.list) {
        if (k.value.startsWith("\"")) {
          claim(c, k.line, "sizeof(" + k.name + ") == sizeof(" + k.value + ") && !__builtin_strcmp(" + k.name + ", "
              + k.value + ")", k.name + " is not " + k.value);
        } else if (k.value.equals(k.aarch64)) {
          claim(c, k.line, equal(k.name, k.value), k.name + " is not " + k.value);
        } else {
          c.append("#if defined(__x86_64__)\n");
          claim(c, k.line, equal(k.name, k.value), k.name + " is not " + k.value);
          c.append("#elif defined(__aarch64__)\n");
          claim(c, k.line, equal(k.name, k.aarch64), k.name + " is not " + k.aarch64);
          c.append("#else\n#error no column for this architecture\n#endif\n");
        }
      }
    }
    for (Struct s : structs) {
      String type = "struct " + s.name;
      claim(c, s.line, "sizeof(" + type + ") == " + s.size, type + ": size");
      claim(c, s.line, "_Alignof(" + type + ") == " + s.align, type + ": alignment");
      for (Field f : s.fields) {
        String member = "((" + type + " *)0)->" + f.path;
        String at = type + "." + f.path + ": ";
        claim(c, f.line, "__builtin_offsetof(" + type + ", " + f.path + ") == " + f.offset, at + "offset");
        claim(c, f.line, "sizeof(" + member + ") == " + size(f), at + "size");
        switch (f.type.charAt(0)) {
          case 'u' -> claim(c, f.line, "((__typeof__(" + member + "))-1) > 0", at + "is signed");
          case 's' -> claim(c, f.line, "((__typeof__(" + member + "))-1) < 0", at + "is unsigned");
          case 'p' -> claim(c, f.line, "__builtin_classify_type(" + member + ") == 5", at + "is no pointer");
          default -> {}
        }
      }
    }
    for (Calls group : calls) {
      for (Call call : group.list) {
        c.append("#if defined(__x86_64__)\n");
        claim(c, call.line, "__NR_" + call.name + " == " + call.x86, call.name + ": number");
        c.append("#elif defined(__aarch64__)\n");
        claim(c, call.line, "__NR_" + call.name + " == " + call.aarch64, call.name + ": number");
        c.append("#else\n#error no column for this architecture\n#endif\n");
      }
    }
    return c.toString();
  }

  /** aarch64 uses the kernel's generic system call numbers: checked here, on whatever machine builds. */
  private String genericCallSource() {
    StringBuilder c = cHead(List.of("<asm-generic/unistd.h>"));
    for (Calls group : calls) {
      for (Call call : group.list) {
        claim(c, call.line, "__NR_" + call.name + " == " + call.aarch64, call.name + ": generic number");
      }
    }
    return c.toString();
  }

  private static String equal(String name, String value) {
    // Without the sign's help -1 == 0xffffffff would hold in C.
    boolean negative = value.startsWith("-");
    return "(" + name + ") == " + value + " && ((" + name + ") < 0) == " + (negative ? 1 : 0);
  }

  private static int size(Field f) {
    return switch (f.type) {
      case "u8", "s8" -> 1;
      case "u16", "s16" -> 2;
      case "u32", "s32", "b32" -> 4;
      case "u64", "s64", "ptr" -> 8;
      default -> Integer.parseInt(f.type.substring(f.type.indexOf('[') + 1, f.type.length() - 1));
    };
  }

  private static boolean isInstalled(String compiler) throws InterruptedException {
    try {
      return !compiler.isEmpty()
          && new ProcessBuilder(compiler, "--version").redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor() == 0;
    } catch (IOException e) {
      return false;
    }
  }

  private static void compile(String cc, List<String> include, Path source)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(cc, "-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
        "-Wno-type-limits", "-Wno-bool-compare", "-Wno-sign-compare", "-Wno-enum-compare"));
    include.forEach(dir -> command.add("-I" + dir));
    command.add(source.toString());
    Process p;
    try {
      p = new ProcessBuilder(command).redirectErrorStream(true).start();
    } catch (IOException e) {
      throw new IOException("cannot run the C compiler '" + cc + "', which checks the table against the system's"
          + " headers: install gcc and linux-libc-dev, or name another with -Dabi.cc=…", e);
    }
    String output = new String(p.getInputStream().readAllBytes());
    if (p.waitFor() != 0) {
      throw new IOException(output + "The table does not agree with the headers, see above. Command: "
          + String.join(" ", command));
    }
  }

  /** A constant added to the header and forgotten in the table ends the build too. */
  private void checkComplete(List<String> include) throws IOException {
    for (Complete want : complete) {
      Path header = null;
      for (String dir : include) {
        if (Files.exists(Path.of(dir, want.header))) {
          header = Path.of(dir, want.header);
        }
      }
      if (header == null) {
        throw bad(want.line, "no " + want.header + " in " + include);
      }
      String text = Files.readString(header).replaceAll("(?s)/\\*.*?\\*/", " ").replaceAll("//[^\n]*", " ");
      List<String> missing = new ArrayList<>();
      Matcher define = Pattern.compile("(?m)^\\s*#\\s*define\\s+(" + want.prefix + "\\w+)(\\()?").matcher(text);
      while (define.find()) {
        if (define.group(2) == null && !known.contains(define.group(1))) {
          missing.add(define.group(1));
        }
      }
      Matcher body = Pattern.compile("(?s)\\benum\\b[^{;]*\\{(.*?)\\}").matcher(text);
      while (body.find()) {
        Matcher item = Pattern.compile("(?:^|,)\\s*(" + want.prefix + "\\w+)").matcher(body.group(1));
        while (item.find()) {
          if (!known.contains(item.group(1))) {
            missing.add(item.group(1));
          }
        }
      }
      Matcher struct = Pattern.compile("\\bstruct\\s+(\\w+)\\s*\\{").matcher(text);
      while (struct.find()) {
        String name = struct.group(1);
        if (structs.stream().noneMatch(s -> s.name.equals(name))) {
          missing.add("struct " + name);
        }
      }
      if (!missing.isEmpty()) {
        throw bad(want.line, want.header + " has what this table lacks: " + missing);
      }
    }
  }

  // ---- the Java side ----

  private void writeJava(Path root) throws IOException {
    Path dir = Files.createDirectories(root.resolve(javaPackage.replace('.', '/')));
    for (Constants group : constants) {
      write(dir, group.type, constantsSource(group));
    }
    for (Struct s : structs) {
      write(dir, s.name, structSource(s));
    }
    for (Calls group : calls) {
      write(dir, group.type, callsSource(group));
    }
  }

  /** Untouched when nothing changed, so that the incremental compiler has nothing to do. */
  private static void write(Path dir, String type, String source) throws IOException {
    Path out = dir.resolve(type + ".java");
    if (!Files.exists(out) || !Files.readString(out).equals(source)) {
      Files.writeString(out, source);
    }
  }

  private StringBuilder javaHead(String doc) {
    return new StringBuilder("// SPDX-License-Identifier: Apache-2.0\n// Generated from ").append(file.getFileName())
        .append("; do not edit.\n\npackage ").append(javaPackage).append(";\n\n/** ").append(doc).append(" */\n");
  }

  private String constantsSource(Constants group) {
    StringBuilder j = javaHead(group.doc);
    j.append("public final class ").append(group.type).append(" {\n  private ").append(group.type).append("() {}\n\n");
    for (Constant k : group.list) {
      if (k.value.startsWith("\"")) {
        j.append("  public static final String ").append(k.name).append(" = ").append(k.value).append(";\n");
        continue;
      }
      boolean wide = !fitsInt(k.value) || !fitsInt(k.aarch64);
      String suffix = wide ? "L" : "";
      j.append("  public static final ").append(wide ? "long " : "int ").append(k.name).append(" = ");
      if (k.value.equals(k.aarch64)) {
        j.append(k.value).append(suffix);
      } else {
        j.append("org.mxfs.bindings.SystemCall.AARCH64 ? ").append(k.aarch64).append(suffix).append(" : ")
            .append(k.value).append(suffix);
      }
      j.append(";\n");
    }
    if (group.names) {
      j.append("\n  /** The C name of {@code value}, or its number where this table has none. */\n");
      j.append("  public static String nameOf(int value) {\n    return switch (value) {\n");
      Set<Long> seen = new TreeSet<>();
      for (Constant k : group.list) {
        if (!k.value.startsWith("\"") && seen.add(Long.decode(k.value))) {
          j.append("      case ").append(k.value).append(" -> \"").append(k.name).append("\";\n");
        }
      }
      j.append("      default -> Integer.toString(value);\n    };\n  }\n");
    }
    return j.append("}\n").toString();
  }

  private static boolean fitsInt(String value) {
    long v = Long.decode(value);
    return v == (int) v;
  }

  private String structSource(Struct s) {
    StringBuilder j = javaHead("{@code struct " + s.name + "}: " + s.doc
        + ". Accessors take the segment and the byte offset at which the structure begins in it; 8 and 16 bit unsigned"
        + "\n * fields are widened, 32 bit ones keep their bits.");
    j.append("public final class ").append(s.name).append(" {\n  private ").append(s.name).append("() {}\n\n");
    j.append("  public static final int SIZE = ").append(s.size).append(";\n");
    j.append("  public static final int ALIGN = ").append(s.align).append(";\n");
    for (Field f : s.fields) {
      String name = f.java();
      String constant = "OFFSET_" + name;
      j.append("\n  public static final int ").append(constant).append(" = ").append(f.offset).append(";\n");
      if (!f.type.startsWith("bytes")) {
        j.append("  public static final int BYTES_").append(name).append(" = ").append(size(f)).append(";\n");
      } else {
        j.append("  public static final int LENGTH_").append(name).append(" = ").append(size(f)).append(";\n");
        continue;
      }
      String layout = switch (size(f)) {
        case 1 -> "JAVA_BYTE";
        case 2 -> "JAVA_SHORT_UNALIGNED";
        case 4 -> "JAVA_INT_UNALIGNED";
        default -> "JAVA_LONG_UNALIGNED";
      };
      String java = switch (f.type) {
        case "u8", "u16", "s8", "s16", "u32", "s32", "b32" -> "int";
        default -> "long";
      };
      String mask = switch (f.type) {
        case "u8" -> " & 0xff";
        case "u16" -> " & 0xffff";
        default -> "";
      };
      String cast = switch (size(f)) {
        case 1 -> "(byte) ";
        case 2 -> "(short) ";
        default -> "";
      };
      String segment = "java.lang.foreign.MemorySegment segment, long at";
      String value = "java.lang.foreign.ValueLayout." + layout + ", at + " + constant;
      j.append("\n  public static ").append(java).append(' ').append(name).append('(').append(segment).append(") {\n");
      j.append("    return segment.get(").append(value).append(")").append(mask).append(";\n  }\n");
      j.append("\n  public static void ").append(name).append('(').append(segment).append(", ").append(java)
          .append(" value) {\n");
      j.append("    segment.set(").append(value).append(", ").append(cast).append("value);\n  }\n");
    }
    return j.append("}\n").toString();
  }

  private String callsSource(Calls group) {
    StringBuilder j = javaHead(group.doc);
    j.append("public final class ").append(group.type).append(" {\n  private ").append(group.type).append("() {}\n");
    for (Call call : group.list) {
      int pointers = 0;
      for (int i = 0; i < call.parameters.size(); i++) {
        if (call.parameters.get(i).isPointer()) {
          pointers |= 1 << i;
        }
      }
      // See org.mxfs.bindings.SystemCall: three function shapes serve all calls.
      String shape = pointers == 0 ? "integers" : pointers == 0b10 ? "buffer" : "any";
      String number = "SYS_" + call.name;
      j.append("\n  public static final int ").append(number).append(" = ");
      if (call.x86.equals(call.aarch64)) {
        j.append(call.x86);
      } else {
        j.append("org.mxfs.bindings.SystemCall.AARCH64 ? ").append(call.aarch64).append(" : ").append(call.x86);
      }
      j.append(";\n\n  /**\n   * {@code ").append(call.name).append("(2)}.\n   *\n   * @return what the call returns, or"
          + " {@code -errno}\n   */\n");
      j.append("  public static ").append(call.result).append(' ').append(call.name).append('(');
      for (int i = 0; i < call.parameters.size(); i++) {
        Parameter p = call.parameters.get(i);
        j.append(i == 0 ? "" : ", ").append(p.isPointer() ? "java.lang.foreign.MemorySegment" : p.type).append(' ')
            .append(p.name);
      }
      j.append(") {\n");
      call.parameters.forEach(p -> j.append(p.check()));
      j.append("    return ").append(call.result.equals("int") ? "(int) " : "")
          .append("org.mxfs.bindings.SystemCall.").append(shape).append('(').append(number);
      for (int i = 0; i < 6; i++) {
        String argument = "0";
        if (i < call.parameters.size()) {
          Parameter p = call.parameters.get(i);
          argument = shape.equals("any") && !p.isPointer()
              ? "java.lang.foreign.MemorySegment.ofAddress(" + p.name + ")" : p.name;
        } else if (shape.equals("any")) {
          argument = "java.lang.foreign.MemorySegment.NULL";
        }
        j.append(", ").append(argument);
      }
      j.append(");\n  }\n");
    }
    return j.append("}\n").toString();
  }
}
