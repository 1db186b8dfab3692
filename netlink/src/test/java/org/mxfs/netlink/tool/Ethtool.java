// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink.tool;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.mxfs.netlink.Attributes;
import org.mxfs.netlink.Family;
import org.mxfs.netlink.GenericNetlink;
import org.mxfs.netlink.MalformedMessageException;
import org.mxfs.netlink.Message;

/**
 * A little of the kernel's ethtool family; numbers are those of {@code linux/ethtool_netlink.h}.
 */
final class Ethtool {
  private static final int MSG_STRSET_GET = 1;
  private static final int MSG_FEATURES_GET = 11;
  private static final int MSG_FEATURES_SET = 12;

  /** The event that features changed. */
  static final int MSG_FEATURES_NTF = 13;

  private static final int A_HEADER = 1; // of every message of the family
  private static final int A_HEADER_DEV_NAME = 2;
  private static final int A_STRSET_STRINGSETS = 2;
  private static final int A_STRINGSETS_STRINGSET = 1;
  private static final int A_STRINGSET_ID = 1;
  private static final int A_STRINGSET_STRINGS = 3;
  private static final int A_STRINGS_STRING = 1;
  private static final int A_STRING_VALUE = 2;
  private static final int A_FEATURES_WANTED = 3;
  private static final int A_FEATURES_ACTIVE = 4;
  private static final int A_BITSET_BITS = 3;
  private static final int A_BITSET_BITS_BIT = 1;
  private static final int A_BITSET_BIT_NAME = 2;
  private static final int A_BITSET_BIT_VALUE = 3;
  private static final int ETH_SS_FEATURES = 4; // linux/ethtool.h

  private final GenericNetlink netlink;
  private final Family family;

  Ethtool(GenericNetlink netlink) throws IOException {
    this.netlink = netlink;
    family = netlink.family("ethtool");
  }

  Family family() {
    return family;
  }

  void watch() throws IOException {
    netlink.join(family, "monitor");
  }

  private static Attributes.Builder header(String device) {
    return Attributes.builder().nested(A_HEADER, h -> h.string(A_HEADER_DEV_NAME, device));
  }

  static String device(Message message) throws MalformedMessageException {
    return message.attributes().nested(A_HEADER).string(A_HEADER_DEV_NAME);
  }

  /** A dump: the names of all devices that have features. */
  List<String> devices() throws IOException {
    Attributes all = Attributes.builder().nested(A_HEADER, h -> {}).build();
    List<String> names = new ArrayList<>();
    for (Message answer : netlink.dump(family, MSG_FEATURES_GET, all)) {
      names.add(device(answer));
    }
    return names;
  }

  /** Nested arrays of strings: the name of every feature the kernel knows. */
  Set<String> featureNames() throws IOException {
    Attributes ask =
        Attributes.builder()
            .nested(A_HEADER, h -> {})
            .nested(
                A_STRSET_STRINGSETS,
                sets ->
                    sets.nested(
                        A_STRINGSETS_STRINGSET, s -> s.u32(A_STRINGSET_ID, ETH_SS_FEATURES)))
            .build();
    Attributes set =
        netlink
            .requestOne(family, MSG_STRSET_GET, ask)
            .attributes()
            .nested(A_STRSET_STRINGSETS)
            .nested(A_STRINGSETS_STRINGSET);
    Set<String> names = new TreeSet<>();
    for (Attributes string : set.nested(A_STRINGSET_STRINGS).all(A_STRINGS_STRING)) {
      names.add(string.string(A_STRING_VALUE));
    }
    return names;
  }

  /** The features that are on. */
  Set<String> active(String device) throws IOException {
    Message answer = netlink.requestOne(family, MSG_FEATURES_GET, header(device).build());
    return bits(answer.attributes().nested(A_FEATURES_ACTIVE));
  }

  private static Set<String> bits(Attributes set) throws MalformedMessageException {
    Set<String> names = new TreeSet<>();
    for (Attributes bit : set.nested(A_BITSET_BITS).all(A_BITSET_BITS_BIT)) {
      names.add(bit.string(A_BITSET_BIT_NAME));
    }
    return names;
  }

  void set(String device, String feature, boolean on) throws IOException {
    Attributes ask =
        header(device)
            .nested(
                A_FEATURES_WANTED,
                set ->
                    set.nested(
                        A_BITSET_BITS, bits -> bits.nested(A_BITSET_BITS_BIT, bit(feature, on))))
            .build();
    netlink.request(family, MSG_FEATURES_SET, ask);
  }

  private static java.util.function.Consumer<Attributes.Builder> bit(String feature, boolean on) {
    return bit -> {
      bit.string(A_BITSET_BIT_NAME, feature);
      if (on) {
        bit.flag(A_BITSET_BIT_VALUE);
      }
    };
  }
}
