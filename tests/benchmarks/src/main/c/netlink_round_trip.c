// SPDX-License-Identifier: Apache-2.0
/*
 * The twin of NetlinkRoundTrip.java: asks the generic netlink controller for the family "nlctrl" with NLM_F_ACK, reads the
 * answer and its acknowledgement, makes sure that both are the kernel's, finds the family's number among the attributes.
 * Raw sockets, one thread.
 *
 * netlink_round_trip SECONDS: warms up for as long, then measures; prints "ns VALUE", the mean of one round trip, and "cpu_ns
 * VALUE", the processor time that it cost.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char NAME[] = "nlctrl";

static void fail(const char *what)
{
	fprintf(stderr, "netlink_round_trip: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static size_t request(char *buffer, uint32_t sequence)
{
	struct nlmsghdr *header = (struct nlmsghdr *)buffer;
	struct genlmsghdr *generic = NLMSG_DATA(header);
	struct nlattr *name = (struct nlattr *)((char *)generic + GENL_HDRLEN);

	*generic = (struct genlmsghdr){ .cmd = CTRL_CMD_GETFAMILY, .version = 2 };
	*name = (struct nlattr){ .nla_len = NLA_HDRLEN + sizeof(NAME), .nla_type = CTRL_ATTR_FAMILY_NAME };
	memcpy((char *)name + NLA_HDRLEN, NAME, sizeof(NAME));
	*header = (struct nlmsghdr){
		.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN + NLA_ALIGN(name->nla_len)),
		.nlmsg_type = GENL_ID_CTRL,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.nlmsg_seq = sequence,
	};
	return header->nlmsg_len;
}

static uint16_t family_id(const struct nlmsghdr *header)
{
	const char *at = (const char *)NLMSG_DATA(header) + GENL_HDRLEN;
	const char *end = (const char *)header + header->nlmsg_len;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *a = (const struct nlattr *)at;

		if (a->nla_len < NLA_HDRLEN || a->nla_len > end - at)
			break;
		if (a->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(const uint16_t *)(at + NLA_HDRLEN);
		at += NLA_ALIGN(a->nla_len);
	}
	return 0;
}

/* Returns 0 if the answers are not what they should be. */
static int round_trip(int fd, uint32_t sequence)
{
	static char out[256], in[128 << 10];
	size_t length = request(out, sequence);
	uint16_t id = 0;

	if (send(fd, out, length, 0) != (ssize_t)length)
		fail("send");
	for (;;) {
		struct sockaddr_nl sender;
		socklen_t sender_length = sizeof(sender);
		ssize_t received = recvfrom(fd, in, sizeof(in), MSG_TRUNC, (struct sockaddr *)&sender, &sender_length);
		unsigned int left = received;

		if (received < 0)
			fail("recvfrom");
		if (sender.nl_pid || received > (ssize_t)sizeof(in)) /* not from the kernel, or too long */
			continue;
		for (struct nlmsghdr *h = (struct nlmsghdr *)in; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_seq != sequence)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error == 0 && id == GENL_ID_CTRL;
			id = family_id(h);
		}
	}
}

static void run(int fd, double seconds, uint32_t *sequence, double *ns, double *cpu_ns)
{
	double start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), end;
	long done = 0;

	do {
		for (int i = 0; i < 100; i++, done++)
			if (!round_trip(fd, ++*sequence)) {
				fprintf(stderr, "netlink_round_trip: a wrong answer\n");
				exit(1);
			}
		end = now(CLOCK_MONOTONIC);
	} while (end - start < seconds);
	*ns = (end - start) * 1e9 / done;
	*cpu_ns = (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e9 / done;
}

int main(int argc, char **argv)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	double ns, cpu_ns, seconds = argc == 2 ? atof(argv[1]) : 0;
	uint32_t sequence = 0;
	int one = 1;
	int fd;

	if (seconds <= 0) {
		fprintf(stderr, "usage: netlink_round_trip SECONDS\n");
		return 2;
	}
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0)
		fail("socket");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("bind");
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	run(fd, seconds, &sequence, &ns, &cpu_ns);
	run(fd, seconds, &sequence, &ns, &cpu_ns);
	printf("ns %.1f\ncpu_ns %.1f\n", ns, cpu_ns);
	return 0;
}
