// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;

/**
 * Finds the volumes of this machine: in the table of mounts, in the module's debugfs, and by the
 * sockets of daemons. Never touches a mount point, nor a disk: either may hang, and then above all
 * this has to answer.
 *
 * @param root where {@code proc}, {@code sys}, {@code run} and {@code dev} are
 */
record Volumes(Path root, long waitMillis) {
  static final Volumes OF_THIS_MACHINE = new Volumes(Path.of("/"), DaemonAnswer.WAIT_MILLIS);

  private static final class Found {
    final List<String> places = new ArrayList<>();
    String device = "";
    @Nullable Path folder;
    Map<String, String> kernel = Map.of();
    DaemonAnswer daemon = new DaemonAnswer.Nobody();
    @Nullable String uuid;
  }

  List<Volume> find() throws IOException {
    Map<String, Found> all = new LinkedHashMap<>();
    mounts(all);
    Map<String, Path> modules = moduleFolders();
    all.forEach(
        (number, found) -> {
          Path folder = modules.remove(kernelName(number));
          if (folder != null) {
            found.folder = folder;
            found.kernel = readStatus(folder);
          }
        });
    // A mount that is under way is in no table yet.
    for (Map.Entry<String, Path> each : modules.entrySet()) {
      Found found = new Found();
      found.folder = each.getValue();
      found.kernel = readStatus(each.getValue());
      found.device = found.kernel.getOrDefault("device", "/dev/" + each.getKey());
      if (!found.kernel.isEmpty()) {
        all.put(numberOf(each.getKey()), found);
      }
    }
    Map<String, String> byUuid = names("by-uuid");
    all.forEach(
        (number, found) ->
            found.uuid = found.kernel.getOrDefault("uuid", byUuid.get(kernelName(number))));
    askDaemons(all);
    // It may have ended since, and a new one be on its way.
    for (Found found : all.values()) {
      if (found.folder != null && found.daemon instanceof DaemonAnswer.Nobody) {
        Map<String, String> now = readStatus(found.folder);
        found.kernel = now.isEmpty() ? found.kernel : now;
      }
    }
    Map<String, String> byLabel = names("by-label");
    List<Volume> volumes = new ArrayList<>();
    all.forEach(
        (number, found) ->
            volumes.add(
                new Volume(
                    found.uuid,
                    byLabel.get(kernelName(number)),
                    found.device,
                    number,
                    found.places,
                    found.kernel,
                    found.daemon)));
    return volumes;
  }

  /** Has the daemon of this volume do something. */
  DaemonAnswer ask(Volume volume, String request) {
    return DaemonAnswer.ask(
        root.resolve("run/mxfs").resolve(volume.uuid() + ".control"), request, waitMillis);
  }

  /** Of these the one that is meant; null: none. */
  @Nullable Volume choose(Collection<Volume> volumes, String name) {
    String plain = name.toLowerCase(Locale.ROOT).replace("-", "");
    String absolute = Path.of(name).toAbsolutePath().normalize().toString();
    String number = name.startsWith("/dev/") ? numberOfNode(Path.of(name)) : "";
    for (Volume each : volumes) {
      String uuid = each.uuid();
      if ((uuid != null && uuid.replace("-", "").equals(plain))
          || name.equals(each.label())
          || each.places().contains(absolute)
          || each.device().equals(name)
          || each.number().equals(number)) {
        return each;
      }
    }
    return null;
  }

  /** proc(5): number, parent, major:minor, root, place, options, fields, -, type, source. */
  private void mounts(Map<String, Found> all) throws IOException {
    // In the bytes of the kernel: a name need not be text of this locale.
    for (String line :
        Files.readAllLines(root.resolve("proc/self/mountinfo"), StandardCharsets.ISO_8859_1)) {
      String[] words = line.split(" ");
      int dash = List.of(words).indexOf("-");
      if (dash < 6 || words.length < dash + 3 || !words[dash + 1].equals("mxfs")) {
        continue;
      }
      Found found = all.computeIfAbsent(words[2], _ -> new Found());
      found.places.add(unescaped(words[4]));
      found.device = unescaped(words[dash + 2]);
    }
  }

  /** Space, tab, newline and backslash stand as three octal digits. */
  private static String unescaped(String word) {
    byte[] bytes = word.getBytes(StandardCharsets.ISO_8859_1);
    int length = 0;
    for (int i = 0; i < bytes.length; i++) {
      if (bytes[i] == '\\' && i + 3 < bytes.length) {
        String digits = new String(bytes, i + 1, 3, StandardCharsets.ISO_8859_1);
        if (digits.matches("[0-3][0-7][0-7]")) {
          bytes[length++] = (byte) Integer.parseInt(digits, 8);
          i += 3;
          continue;
        }
      }
      bytes[length++] = bytes[i];
    }
    return new String(bytes, 0, length, StandardCharsets.UTF_8);
  }

  private Map<String, Path> moduleFolders() {
    Map<String, Path> folders = new TreeMap<>();
    try (DirectoryStream<Path> found =
        Files.newDirectoryStream(root.resolve("sys/kernel/debug/mxfs"))) {
      for (Path each : found) {
        folders.put(String.valueOf(each.getFileName()), each);
      }
    } catch (IOException | DirectoryIteratorException e) {
      // Not mounted, not root, or locked down: it is done without.
      return folders;
    }
    return folders;
  }

  private static Map<String, String> readStatus(Path folder) {
    Map<String, String> read = new TreeMap<>();
    try {
      for (String line :
          Files.readAllLines(folder.resolve("status"), StandardCharsets.ISO_8859_1)) {
        int space = line.indexOf(' ');
        if (space > 0) {
          read.put(line.substring(0, space), line.substring(space + 1));
        }
      }
    } catch (IOException e) {
      return Map.of(); // as above, or unmounted at this moment
    }
    return read;
  }

  /** The kernel's name of a block device; the number itself where sysfs does not tell. */
  private String kernelName(String number) {
    try {
      return String.valueOf(
          root.resolve("sys/dev/block").resolve(number).toRealPath().getFileName());
    } catch (IOException e) {
      return number;
    }
  }

  /** The other way round; the name itself where sysfs does not tell. */
  private String numberOf(String kernelName) {
    try {
      return Files.readString(
              root.resolve("sys/class/block").resolve(kernelName).resolve("dev"),
              StandardCharsets.US_ASCII)
          .strip();
    } catch (IOException e) {
      return kernelName;
    }
  }

  /** Of a block device's node, which links are followed to. */
  private static String numberOfNode(Path node) {
    try {
      Object number = Files.getAttribute(node, "unix:rdev");
      if (number instanceof Number rdev && rdev.longValue() != 0) {
        long value = rdev.longValue();
        // glibc's gnu_dev_major and gnu_dev_minor
        long major = ((value >>> 8) & 0xfff) | ((value >>> 32) & ~0xfffL);
        long minor = (value & 0xff) | ((value >>> 12) & ~0xffL);
        return major + ":" + (minor & 0xffff_ffffL);
      }
    } catch (IOException | UnsupportedOperationException | IllegalArgumentException e) {
      return ""; // no such device: no volume of this name
    }
    return "";
  }

  /** What udev says: the kernel's name of a device, and its name there. */
  private Map<String, String> names(String kind) {
    Map<String, String> names = new TreeMap<>();
    try (DirectoryStream<Path> found =
        Files.newDirectoryStream(root.resolve("dev/disk").resolve(kind))) {
      for (Path each : found) {
        if (Files.isSymbolicLink(each)) {
          Path target = Files.readSymbolicLink(each).getFileName();
          names.put(String.valueOf(target), udevUnescaped(String.valueOf(each.getFileName())));
        }
      }
    } catch (IOException | DirectoryIteratorException e) {
      return names; // no udev, as in the lab
    }
    return names;
  }

  /** udev writes what may not stand in a name as \x and two hexadecimal digits. */
  private static String udevUnescaped(String name) {
    StringBuilder text = new StringBuilder();
    int i = 0;
    while (i < name.length()) {
      if (name.startsWith("\\x", i)
          && i + 4 <= name.length()
          && name.substring(i + 2, i + 4).matches("[0-9a-f]{2}")) {
        text.append((char) Integer.parseInt(name.substring(i + 2, i + 4), 16));
        i += 4;
      } else {
        text.append(name.charAt(i++));
      }
    }
    return text.toString();
  }

  private void askDaemons(Map<String, Found> all) {
    Path run = root.resolve("run/mxfs");
    Map<String, DaemonAnswer> byUuid = new ConcurrentSkipListMap<>();
    // Side by side: each that is stopped costs all of the wait.
    try (DirectoryStream<Path> sockets = Files.newDirectoryStream(run, "*.control");
        ExecutorService asking = Executors.newCachedThreadPool()) {
      for (Path each : sockets) {
        String name = String.valueOf(each.getFileName());
        asking.execute(
            () ->
                byUuid.put(
                    name.substring(0, name.length() - ".control".length()),
                    DaemonAnswer.ask(each, waitMillis)));
      }
    } catch (NoSuchFileException e) {
      return; // no daemon ever ran since the machine was booted
    } catch (AccessDeniedException e) {
      all.values().forEach(found -> found.daemon = new DaemonAnswer.Denied());
      return;
    } catch (IOException e) {
      all.values().forEach(found -> found.daemon = DaemonAnswer.failed(e));
      return;
    } catch (DirectoryIteratorException e) {
      IOException cause = Objects.requireNonNull(e.getCause());
      all.values().forEach(found -> found.daemon = DaemonAnswer.failed(cause));
      return;
    }
    List<DaemonAnswer> left = new ArrayList<>();
    for (Map.Entry<String, DaemonAnswer> each : byUuid.entrySet()) {
      Found mine =
          each.getValue() instanceof DaemonAnswer.Said said
              ? ofNumber(all, said.value().get("volume"))
              : ofUuid(all, each.getKey());
      if (mine != null) {
        mine.uuid = each.getKey();
        mine.daemon = each.getValue();
      } else if (!(each.getValue() instanceof DaemonAnswer.Nobody)) {
        left.add(each.getValue());
      }
    }
    // Neither debugfs nor udev need tell whose they are.
    List<Found> nameless = all.values().stream().filter(found -> found.uuid == null).toList();
    if (left.stream().anyMatch(DaemonAnswer.Denied.class::isInstance)) {
      nameless.forEach(found -> found.daemon = new DaemonAnswer.Denied());
    } else if (left.size() == 1 && nameless.size() == 1) {
      nameless.getFirst().daemon = left.getFirst();
    }
  }

  private static Found ofNumber(Map<String, Found> all, JsonValue volume) {
    String number = volume.get("major").number() + ":" + volume.get("minor").number();
    Found found = all.get(number);
    if (found == null) {
      // Mounted in another namespace, or about to be, and debugfs cannot be read.
      found = new Found();
      found.device = volume.get("device").textOr("");
      all.put(number, found);
    }
    return found;
  }

  private static @Nullable Found ofUuid(Map<String, Found> all, String uuid) {
    for (Found found : all.values()) {
      if (Objects.equals(found.uuid, uuid)) {
        return found;
      }
    }
    return null;
  }
}
