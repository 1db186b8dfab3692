// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import static org.mxfs.bindings.linux.Genetlink.CTRL_ATTR_FAMILY_ID;
import static org.mxfs.bindings.linux.Genetlink.CTRL_ATTR_FAMILY_NAME;
import static org.mxfs.bindings.linux.Genetlink.CTRL_CMD_GETFAMILY;

import java.io.IOException;

/** The README's example; {@link ReadmeTest} runs it. */
final class ReadmeExample {
  private ReadmeExample() {}

  static void main() throws IOException {
    // README begins
    Listener listener =
        new Listener() {
          @Override
          public void message(Message event) {
            System.out.println("event " + event.command() + " " + event.attributes());
          }

          @Override
          public void gap() {
            System.out.println("events were lost: ask for the state anew");
          }

          @Override
          public void malformed(MalformedMessageException e) {
            System.err.println(e.getMessage());
          }

          @Override
          public void failed(IOException e) {
            System.err.println("no more events: " + e.getMessage());
          }
        };
    try (GenericNetlink netlink = GenericNetlink.open(GenericNetlink.Options.DEFAULT, listener)) {
      Family controller = netlink.family("nlctrl");
      netlink.join(controller, "notify"); // families that come and go are told to the listener

      Attributes ask = Attributes.builder().string(CTRL_ATTR_FAMILY_NAME, "nlctrl").build();
      Message answer = netlink.requestOne(controller, CTRL_CMD_GETFAMILY, ask);
      System.out.println("nlctrl is number " + answer.attributes().u16(CTRL_ATTR_FAMILY_ID));

      for (Message family : netlink.dump(controller, CTRL_CMD_GETFAMILY, Attributes.EMPTY)) {
        System.out.println(family.attributes().string(CTRL_ATTR_FAMILY_NAME));
      }
      netlink.family("no-such-family");
    } catch (NetlinkErrorException e) {
      System.out.println("no-such-family: " + e.errnoName()); // and e.kernelMessage()
    }
    // README ends
  }
}
