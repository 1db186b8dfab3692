// SPDX-License-Identifier: GPL-2.0-only
/*
 * A daemon for debugging the kernel module alone: no network, no reservations, no peers.
 *
 * Says HELLO, becomes the owner at once, keeps the lease, leaves when told. SIGUSR1 makes it detach; the next
 * waiting operation attaches again. So one node can lose and regain the volume under any program. It is for one node on a
 * disk that nobody else uses: it never asks the storage array.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/types.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#if __has_include(<linux/mxfs.h>)
#include <linux/mxfs.h>
#else
#include "../../kmod/include/uapi/linux/mxfs.h"
#endif

static int sock, family;
static uint32_t mount_id, lease_ms = MXFS_DEFAULT_LEASE_MS;
static uint64_t epoch;
static volatile sig_atomic_t want_detach;

struct msg {
	struct nlmsghdr n;
	struct genlmsghdr g;
	char attrs[1024];
};

static void put(struct msg *m, int type, const void *data, int len)
{
	struct nlattr *a = (void *)((char *)m + NLMSG_ALIGN(m->n.nlmsg_len));

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	memcpy((char *)a + NLA_HDRLEN, data, len);
	m->n.nlmsg_len = NLMSG_ALIGN(m->n.nlmsg_len) + NLA_ALIGN(a->nla_len);
}

static void begin(struct msg *m, int type, int cmd, int flags)
{
	memset(m, 0, sizeof(*m));
	m->n.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	m->n.nlmsg_type = type;
	m->n.nlmsg_flags = NLM_F_REQUEST | flags;
	m->g.cmd = cmd;
	m->g.version = 1;
}

static void send_msg(struct msg *m)
{
	if (send(sock, m, m->n.nlmsg_len, 0) < 0) {
		perror("send");
		exit(1);
	}
}

static void tell(int cmd, int attr, const void *data, int len)
{
	struct msg m;

	begin(&m, family, cmd, 0);
	put(&m, MXFS_A_MOUNT, &mount_id, 4);
	if (attr)
		put(&m, attr, data, len);
	send_msg(&m);
}

static void *find(struct msg *m, int type)
{
	char *p = m->attrs, *end = (char *)m + m->n.nlmsg_len;

	while (p + NLA_HDRLEN <= end) {
		struct nlattr *a = (void *)p;

		if (a->nla_len < NLA_HDRLEN)
			break;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return p + NLA_HDRLEN;
		p += NLA_ALIGN(a->nla_len);
	}
	return NULL;
}

static void on_usr1(int sig)
{
	(void)sig;
	want_detach = 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	struct sigaction sa = { .sa_handler = on_usr1 };
	const char *hex = NULL;
	unsigned char uuid[16];
	int ready = 0, attached = 0, i;
	struct msg m;

	for (i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], "--uuid"))
			hex = argv[i + 1];
	if (!hex || strlen(hex) != 32)
		return 2;
	for (i = 0; i < 16; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return 2;
		uuid[i] = byte;
	}
	sigaction(SIGUSR1, &sa, NULL);
	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (sock < 0 || bind(sock, (void *)&self, sizeof(self)))
		return 1;
	begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	put(&m, CTRL_ATTR_FAMILY_NAME, MXFS_GENL_NAME, sizeof(MXFS_GENL_NAME));
	send_msg(&m);
	if (recv(sock, &m, sizeof(m), 0) <= 0 || !find(&m, CTRL_ATTR_FAMILY_ID))
		return 1;
	family = *(uint16_t *)find(&m, CTRL_ATTR_FAMILY_ID);
	begin(&m, family, MXFS_CMD_HELLO, 0);
	put(&m, MXFS_A_UUID, uuid, 16);
	send_msg(&m);

	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		uint32_t role = MXFS_ROLE_OWNER, zero = 0, state;

		if (mount_id)
			tell(MXFS_CMD_LEASE, MXFS_A_LEASE_MS, &lease_ms, 4);
		if (want_detach && attached) {
			want_detach = 0;
			tell(MXFS_CMD_DETACH, MXFS_A_EPOCH, &epoch, 8);
		}
		if (poll(&p, 1, 1000) <= 0)
			continue;
		if (recv(sock, &m, sizeof(m), 0) <= 0) {
			if (errno == EINTR)
				continue;
			return 1;
		}
		if (m.n.nlmsg_type == NLMSG_ERROR) {
			fprintf(stderr, "refused: %d\n", *(int *)NLMSG_DATA(&m.n));
			continue;
		}
		switch (m.g.cmd) {
		case MXFS_CMD_HELLO:
			mount_id = *(uint32_t *)find(&m, MXFS_A_MOUNT);
			memcpy(&epoch, find(&m, MXFS_A_EPOCH), 8);
			state = *(uint32_t *)find(&m, MXFS_A_STATE);
			tell(MXFS_CMD_LEASE, MXFS_A_LEASE_MS, &lease_ms, 4);
			if (state == MXFS_STATE_STARTING) {
				epoch++;
				tell(MXFS_CMD_ATTACH, MXFS_A_EPOCH, &epoch, 8);
			} else {
				attached = state == MXFS_STATE_ATTACHED;
				ready = 1;
				tell(MXFS_CMD_READY, MXFS_A_ROLE, &role, 4);
			}
			break;
		case MXFS_EV_ATTACHED:
			attached = !*(uint32_t *)find(&m, MXFS_A_ERRNO);
			if (!ready && attached) {
				struct msg r;

				begin(&r, family, MXFS_CMD_READY, 0);
				put(&r, MXFS_A_MOUNT, &mount_id, 4);
				put(&r, MXFS_A_ROLE, &role, 4);
				put(&r, MXFS_A_CLUSTERED, &zero, 4);
				send_msg(&r);
				ready = 1;
			}
			break;
		case MXFS_EV_DETACHED:
			attached = 0;
			break;
		case MXFS_EV_WANT:
			epoch++;
			tell(MXFS_CMD_ATTACH, MXFS_A_EPOCH, &epoch, 8);
			break;
		case MXFS_EV_LEAVE:
			tell(MXFS_CMD_LEFT, MXFS_A_ERRNO, &zero, 4);
			return 0;
		}
	}
}
