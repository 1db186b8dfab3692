// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink.tool;

import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.mxfs.netlink.Attributes;
import org.mxfs.netlink.Family;
import org.mxfs.netlink.GenericNetlink;
import org.mxfs.netlink.Listener;
import org.mxfs.netlink.MalformedMessageException;
import org.mxfs.netlink.Message;
import org.mxfs.netlink.NetlinkErrorException;

/**
 * The library on a machine whose network and modules may be changed: dumps, nested arrays, refusals
 * and events of the ethtool family, and families that come and go.
 *
 * <p>Prints what it found as {@code KEY VALUE} lines for the script that started it, which knows
 * the same things from elsewhere; ends with status 1 and a reason when something is wrong.
 */
public final class NetlinkCheck {
  // linux/genetlink.h
  private static final int CTRL_CMD_NEWFAMILY = 1;
  private static final int CTRL_CMD_DELFAMILY = 2;
  private static final int CTRL_ATTR_FAMILY_NAME = 2;

  private static final String FEATURE = "rx-gro";
  private static final long CHURN_NANOS = 8_000_000_000L;

  private static final class Events implements Listener {
    final BlockingQueue<Message> messages = new LinkedBlockingQueue<>();
    final BlockingQueue<String> troubles = new LinkedBlockingQueue<>();

    @Override
    public void message(Message message) {
      messages.add(message);
    }

    @Override
    public void gap() {
      troubles.add("gap");
    }

    @Override
    public void malformed(MalformedMessageException e) {
      troubles.add(e.toString());
    }

    @Override
    public void failed(IOException e) {
      troubles.add(e.toString());
    }

    Message next(Family family, int command) throws IOException, InterruptedException {
      while (true) {
        Message m = messages.poll(10, TimeUnit.SECONDS);
        if (m == null) {
          throw new IOException("no event " + command + " of " + family.name() + " within 10 s");
        }
        if (m.family() == family.id() && m.command() == command) {
          return m;
        }
      }
    }
  }

  private final Events events = new Events();
  private final GenericNetlink netlink =
      GenericNetlink.open(GenericNetlink.Options.DEFAULT, events);

  private NetlinkCheck() throws IOException {}

  /**
   * @param arguments checks, done in their order: {@code dump}; {@code change=DEVICE}, which
   *     switches a feature of the device off and on; {@code churn=NAME}, which dumps while a device
   *     of that name comes and goes; {@code module=NAME}, which unloads and loads a module that has
   *     a family of its name
   */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    NetlinkCheck check = new NetlinkCheck();
    try (GenericNetlink socket = check.netlink) {
      for (String argument : arguments) {
        int equals = argument.indexOf('=');
        String subject = argument.substring(equals + 1);
        switch (equals < 0 ? argument : argument.substring(0, equals)) {
          case "dump" -> check.dump();
          case "change" -> check.change(subject);
          case "churn" -> check.churn(subject);
          case "module" -> check.module(subject);
          default -> throw new IOException("no check " + argument);
        }
      }
      require(check.events.troubles.isEmpty(), "troubles: " + check.events.troubles);
      System.out.println("done " + socket);
    }
  }

  private static void require(boolean holds, String what) throws IOException {
    if (!holds) {
      throw new IOException(what);
    }
  }

  private void dump() throws IOException {
    Ethtool ethtool = new Ethtool(netlink);
    System.out.println("devices " + String.join(" ", ethtool.devices()));
    System.out.println("features " + String.join(" ", ethtool.featureNames()));
    System.out.println("refused " + refusal(() -> ethtool.active("nosuch0")));
    System.out.println("unknown " + refusal(() -> ethtool.set("lo", "no-such-feature", true)));
  }

  private interface Action {
    void run() throws IOException;
  }

  private static String refusal(Action action) throws IOException {
    try {
      action.run();
    } catch (NetlinkErrorException e) {
      return e.errnoName() + " " + e.badAttributeOffset().orElse(-1) + " " + e.getMessage();
    }
    throw new IOException("was not refused");
  }

  private void change(String device) throws IOException, InterruptedException {
    Ethtool ethtool = new Ethtool(netlink);
    ethtool.watch();
    require(ethtool.active(device).contains(FEATURE), device + " has no " + FEATURE + " on");
    for (boolean on : new boolean[] {false, true}) {
      ethtool.set(device, FEATURE, on);
      Message event = events.next(ethtool.family(), Ethtool.MSG_FEATURES_NTF);
      require(Ethtool.device(event).equals(device), "an event about " + Ethtool.device(event));
      require(ethtool.active(device).contains(FEATURE) == on, FEATURE + " did not change");
      System.out.println("event-" + on + " " + device + " " + FEATURE);
    }
  }

  /** Every dump must hold each device that is always there exactly once. */
  private void churn(String name) throws IOException, InterruptedException {
    Ethtool ethtool = new Ethtool(netlink);
    Set<String> always = new TreeSet<>(ethtool.devices());
    Process changes =
        new ProcessBuilder(
                "sh",
                "-c",
                "while ip link add %1$s type dummy && ip link del %1$s; do :; done".formatted(name))
            .inheritIO()
            .start();
    int dumps = 0;
    int seen = 0;
    try {
      for (long start = System.nanoTime(); System.nanoTime() - start < CHURN_NANOS; dumps++) {
        List<String> devices = ethtool.devices();
        seen += devices.contains(name) ? 1 : 0;
        Set<String> others = new TreeSet<>(devices);
        require(others.size() == devices.size(), "a device twice in " + devices);
        others.remove(name);
        require(others.equals(always), "a dump has " + devices + ", always there is " + always);
      }
      require(changes.isAlive(), "the changes ended before the dumps did");
    } finally {
      changes.destroy();
      changes.waitFor();
    }
    System.out.println("dumps " + dumps + ", " + seen + " of them met the other device");
  }

  private void module(String name) throws IOException, InterruptedException {
    Family controller = netlink.family("nlctrl");
    netlink.join(controller, "notify");
    Family before = netlink.family(name);
    run("rmmod", name);
    expectFamily(controller, CTRL_CMD_DELFAMILY, name);
    require(netlink.findFamily(name).isEmpty(), name + " is still there");
    String refusal = refusal(() -> netlink.request(before, 1, Attributes.EMPTY));
    require(refusal.startsWith("ENOENT"), "a request to a family that is gone: " + refusal);
    run("modprobe", name);
    expectFamily(controller, CTRL_CMD_NEWFAMILY, name);
    require(netlink.findFamily(name).isPresent(), name + " is not there");
    System.out.println("family " + name);
  }

  private void expectFamily(Family controller, int command, String name)
      throws IOException, InterruptedException {
    String said = events.next(controller, command).attributes().string(CTRL_ATTR_FAMILY_NAME);
    require(said.equals(name), "an event about family " + said);
  }

  private static void run(String... command) throws IOException, InterruptedException {
    int status = new ProcessBuilder(command).inheritIO().start().waitFor();
    require(status == 0, String.join(" ", command) + " ended with status " + status);
  }
}
