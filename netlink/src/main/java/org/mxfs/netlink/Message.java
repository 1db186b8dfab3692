// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

/**
 * A generic netlink message as received.
 *
 * @param family the number of the family it belongs to, {@link Family#id()}
 * @param command the family's command or event number
 * @param version the version the sender gave
 * @param sequence that of the request it answers; 0 in an event that answers nothing
 * @param port the port of the request it answers; 0 in most events
 * @param flags {@code NLM_F_*}
 * @param attributes what it carries
 */
public record Message(
    int family,
    int command,
    int version,
    int sequence,
    int port,
    int flags,
    Attributes attributes) {}
