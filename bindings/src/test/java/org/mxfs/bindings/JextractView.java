// SPDX-License-Identifier: Apache-2.0

package org.mxfs.bindings;

import java.io.IOException;
import java.io.StringWriter;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * What {@code jextract} made of C headers, compared with the classes that were generated from the
 * table.
 *
 * <p>The shape of its output, as its own guide describes it: a class for the header with a static
 * method without parameters for each constant, and for each structure a class of the structure's
 * name with {@code layout()} and, for each field, {@code FIELD$offset()} and {@code
 * FIELD$layout()}; fields of an unnamed union are fields of the structure around it.
 */
final class JextractView implements AutoCloseable {
  private final URLClassLoader loader;
  private final String javaPackage;
  private final Class<?> header;

  private JextractView(URLClassLoader loader, String javaPackage, String header)
      throws ReflectiveOperationException {
    this.loader = loader;
    this.javaPackage = javaPackage;
    this.header = loader.loadClass(javaPackage + "." + header);
  }

  /**
   * Compiles and loads generated sources.
   *
   * @param sources the folder that jextract wrote into
   * @param classes an empty folder
   * @param header name of the class for the header
   */
  static JextractView compile(Path sources, Path classes, String javaPackage, String header)
      throws IOException, ReflectiveOperationException {
    JavaCompiler javac = ToolProvider.getSystemJavaCompiler();
    StringWriter said = new StringWriter();
    List<Path> files;
    try (Stream<Path> tree = Files.walk(sources)) {
      files = tree.filter(f -> f.toString().endsWith(".java")).toList();
    }
    try (StandardJavaFileManager manager = javac.getStandardFileManager(null, null, null)) {
      List<String> options = List.of("-proc:none", "-nowarn", "-d", classes.toString());
      if (!javac
          .getTask(said, manager, null, options, null, manager.getJavaFileObjectsFromPaths(files))
          .call()) {
        throw new IOException("jextract's sources do not compile:\n" + said);
      }
    }
    URL[] path = {classes.toUri().toURL()};
    return new JextractView(new URLClassLoader(path), javaPackage, header);
  }

  @Override
  public void close() throws IOException {
    loader.close();
  }

  /** What differs between a structure of the table and jextract's view of it, a line each. */
  List<String> compareStruct(Class<?> table) throws ReflectiveOperationException {
    List<String> differences = new ArrayList<>();
    String name = table.getSimpleName();
    Class<?> view;
    try {
      view = loader.loadClass(javaPackage + "." + name);
    } catch (ClassNotFoundException e) {
      return List.of("jextract has no struct " + name);
    }
    GroupLayout layout = (GroupLayout) call(view, "layout");
    compare(differences, name + ": size", constant(table, "SIZE"), layout.byteSize());
    compare(differences, name + ": alignment", constant(table, "ALIGN"), layout.byteAlignment());
    for (Field f : table.getFields()) {
      if (f.getName().startsWith("OFFSET_")) {
        compareField(differences, table, view, f.getName().substring("OFFSET_".length()));
      }
    }
    return differences;
  }

  private static void compareField(
      List<String> differences, Class<?> table, Class<?> view, String field)
      throws ReflectiveOperationException {
    String where = table.getSimpleName() + "." + field;
    Optional<Place> place = place(view, field);
    if (place.isEmpty()) {
      differences.add("jextract has no field " + where);
      return;
    }
    compare(
        differences, where + ": offset", constant(table, "OFFSET_" + field), place.get().offset());
    compare(differences, where + ": size", size(table, field), place.get().layout().byteSize());
  }

  private record Place(long offset, MemoryLayout layout) {}

  /**
   * Where a field is. The table joins the parts of a path with underscores, which names have too:
   * the first part is the longest that is a field of the structure.
   */
  private static Optional<Place> place(Class<?> view, String field)
      throws ReflectiveOperationException {
    for (int end = field.length(); end > 0; end = field.lastIndexOf('_', end - 1)) {
      String first = field.substring(0, end);
      if (!has(view, first + "$offset")) {
        continue;
      }
      long offset = ((Number) call(view, first + "$offset")).longValue();
      MemoryLayout layout = (MemoryLayout) call(view, first + "$layout");
      if (end == field.length()) {
        return Optional.of(new Place(offset, layout));
      }
      PathElement rest = PathElement.groupElement(field.substring(end + 1));
      try {
        return Optional.of(new Place(offset + layout.byteOffset(rest), layout.select(rest)));
      } catch (IllegalArgumentException e) {
        return Optional.empty();
      }
    }
    return Optional.empty();
  }

  private static long size(Class<?> table, String field) throws ReflectiveOperationException {
    boolean array =
        Stream.of(table.getFields()).anyMatch(f -> f.getName().equals("LENGTH_" + field));
    return constant(table, (array ? "LENGTH_" : "BYTES_") + field);
  }

  /** What differs between a class of constants and jextract's; what jextract lacks is not in it. */
  List<String> compareConstants(Class<?> table) throws ReflectiveOperationException {
    List<String> differences = new ArrayList<>();
    for (Field f : constants(table)) {
      if (has(header, f.getName())) {
        Object other = call(header, f.getName());
        Object mine = f.get(null);
        boolean same =
            mine instanceof String text
                ? text.equals(((MemorySegment) other).getString(0))
                : ((Number) mine).longValue() == ((Number) other).longValue();
        if (!same) {
          differences.add(f.getName() + ": " + mine + " in the table, " + other + " by jextract");
        }
      }
    }
    return differences;
  }

  /** Constants of the table that jextract could not express. */
  List<String> missingConstants(Class<?> table) {
    return constants(table).stream().map(Field::getName).filter(n -> !has(header, n)).toList();
  }

  private static List<Field> constants(Class<?> table) {
    return Stream.of(table.getFields()).filter(f -> Modifier.isStatic(f.getModifiers())).toList();
  }

  private static void compare(List<String> differences, String what, long table, long view) {
    if (table != view) {
      differences.add(what + ": " + table + " in the table, " + view + " by jextract");
    }
  }

  private static long constant(Class<?> table, String name) throws ReflectiveOperationException {
    return table.getField(name).getInt(null);
  }

  private static boolean has(Class<?> type, String method) {
    try {
      type.getMethod(method);
      return true;
    } catch (NoSuchMethodException e) {
      return false;
    }
  }

  private static Object call(Class<?> type, String method) throws ReflectiveOperationException {
    try {
      return java.util.Objects.requireNonNull(type.getMethod(method).invoke(null));
    } catch (InvocationTargetException e) {
      throw new IllegalStateException(type.getName() + "." + method + "()", e.getCause());
    }
  }
}
