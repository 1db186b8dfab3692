// SPDX-License-Identifier: GPL-2.0-only
/*
 * A daemon for debugging the kernel module alone: no network, no reservations, no peers.
 *
 * Says HELLO, becomes the owner at once, keeps the lease, leaves when told. SIGUSR1 makes it detach; the next
 * waiting operation attaches again. So one node can lose and regain the volume under any program. It is for one node on a
 * disk that nobody else uses: it never asks the storage array.
 *
 * What daemons do in bad times, by options before the kernel's own:
 *	--lease MS		the lease, which is kept up once a second
 *	--die-attached		it ends when XFS is attached, and is not ready
 *	--never-ready		it attaches, and then keeps no lease and never is ready
 *	--second-thread		everything is done by a second thread; the first one ends at once
 *	--stale-lease		after SIGUSR2 it sends leases that are over by the time they arrive
 *	--full-socket		it reads nothing while XFS is attached, so that its socket has no room for the event
 *	--linger DEVICE		a second thread reads DEVICE, which may hang; SIGUSR2 makes the first close netlink and end
 *	--fenced		SIGUSR2 makes it say FENCED, and ask for the state behind that
 *	--alone			each ATTACH says that no other node is registered
 *	--lockstate		it asks where the lock state is, after HELLO and after each attach
 *
 * What the kernel answers is appended to /run/mxfsd_solo.log, a line each: "attached ERRNO", "detached ERRNO", "answer ERRNO",
 * "status STATE", "lockstate ERRNO", "generation NUMBER", "extent NUMBER" (of its first byte on the device). With --ask alone it is no daemon: it asks generic netlink for a family, and ends when it has the answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/types.h>
#include <poll.h>
#include <pthread.h>
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
static volatile sig_atomic_t want_detach, want_end;
static int die_attached, never_ready, second_thread, stale_lease, full_socket, fenced, alone, lockstate;
static const char *linger;
static unsigned char uuid[16];

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

static void note(const char *what, long long value)
{
	FILE *log = fopen("/run/mxfsd_solo.log", "a");

	if (!log)
		return;
	fprintf(log, "%s %lld\n", what, value);
	fclose(log);
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

static void on_usr2(int sig)
{
	(void)sig;
	want_end = 1;
}

static void keep_lease(void)
{
	struct timespec now;
	uint64_t end;

	clock_gettime(CLOCK_BOOTTIME, &now);
	end = now.tv_sec * 1000000000ull + now.tv_nsec;
	if (!stale_lease || !want_end)
		end += lease_ms * 1000000ull;
	tell(MXFS_CMD_LEASE, MXFS_A_LEASE_END, &end, 8);
}

static void attach(void)
{
	uint32_t one = 1;
	struct msg m;

	begin(&m, family, MXFS_CMD_ATTACH, 0);
	put(&m, MXFS_A_MOUNT, &mount_id, 4);
	put(&m, MXFS_A_EPOCH, &epoch, 8);
	if (alone)
		put(&m, MXFS_A_ALONE, &one, 4);
	send_msg(&m);
}

static void note_lockstate(struct msg *m)
{
	struct mxfs_extent first;
	uint64_t generation;

	memcpy(&generation, find(m, MXFS_A_GENERATION), 8);
	note("generation", generation);
	if (!find(m, MXFS_A_EXTENTS)) {
		note("lockstate", *(uint32_t *)find(m, MXFS_A_ERRNO));
		return;
	}
	memcpy(&first, find(m, MXFS_A_EXTENTS), sizeof(first));
	note("extent", first.device);
	note("lockstate", 0);
}

static void say_fenced(void)
{
	static const char why[] = "fenced by a test";
	struct msg m;

	begin(&m, family, MXFS_CMD_FENCED, NLM_F_ACK);
	put(&m, MXFS_A_MOUNT, &mount_id, 4);
	put(&m, MXFS_A_MESSAGE, why, sizeof(why));
	send_msg(&m);
	tell(MXFS_CMD_STATUS, 0, NULL, 0);
}

/* Replies that are not read, until there is no room for one more. */
static void fill_socket(void)
{
	int room = 1, i;

	setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	for (i = 0; i < 64; i++)
		tell(MXFS_CMD_STATUS, 0, NULL, 0);
}

/* Return: 0 when generic netlink has answered. */
static int find_family(void)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	struct msg m;

	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (sock < 0 || bind(sock, (void *)&self, sizeof(self)))
		return 1;
	begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	put(&m, CTRL_ATTR_FAMILY_NAME, MXFS_GENL_NAME, sizeof(MXFS_GENL_NAME));
	send_msg(&m);
	if (recv(sock, &m, sizeof(m), 0) <= 0 || !find(&m, CTRL_ATTR_FAMILY_ID))
		return 1;
	family = *(uint16_t *)find(&m, CTRL_ATTR_FAMILY_ID);
	return 0;
}

static int serve(void);

static void *serve_thread(void *none)
{
	(void)none;
	exit(serve());
}

static void *linger_thread(void *none)
{
	void *block;
	int fd;

	(void)none;
	fd = open(linger, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || posix_memalign(&block, 4096, 4096))
		_exit(1);
	for (;;)
		if (pread(fd, block, 4096, 0) < 0)
			return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	const char *hex = NULL;
	pthread_t thread;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--die-attached"))
			die_attached = 1;
		else if (!strcmp(argv[i], "--never-ready"))
			never_ready = 1;
		else if (!strcmp(argv[i], "--second-thread"))
			second_thread = 1;
		else if (!strcmp(argv[i], "--stale-lease"))
			stale_lease = 1;
		else if (!strcmp(argv[i], "--full-socket"))
			full_socket = 1;
		else if (!strcmp(argv[i], "--fenced"))
			fenced = 1;
		else if (!strcmp(argv[i], "--alone"))
			alone = 1;
		else if (!strcmp(argv[i], "--lockstate"))
			lockstate = 1;
		else if (!strcmp(argv[i], "--ask"))
			return find_family();
		else if (i + 1 < argc && !strcmp(argv[i], "--lease"))
			lease_ms = atoi(argv[++i]);
		else if (i + 1 < argc && !strcmp(argv[i], "--linger"))
			linger = argv[++i];
		else if (i + 1 < argc && !strcmp(argv[i], "--uuid"))
			hex = argv[++i];
	}
	if (!hex || strlen(hex) != 32)
		return 2;
	for (i = 0; i < 16; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return 2;
		uuid[i] = byte;
	}
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_handler = on_usr2;
	sigaction(SIGUSR2, &sa, NULL);
	if (linger && pthread_create(&thread, NULL, linger_thread, NULL))
		return 1;
	if (!second_thread)
		return serve();
	if (pthread_create(&thread, NULL, serve_thread, NULL))
		return 1;
	pthread_exit(NULL);
}

static int serve(void)
{
	int ready = 0, attached = 0;
	struct msg m;

	if (find_family())
		return 1;
	begin(&m, family, MXFS_CMD_HELLO, 0);
	put(&m, MXFS_A_UUID, uuid, 16);
	send_msg(&m);

	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		uint32_t role = MXFS_ROLE_OWNER, zero = 0, state;

		if (want_end && fenced) {
			want_end = 0;
			say_fenced();
		}
		if (want_end && !stale_lease) {
			/* The thread that lingers is not waited for, and only the kernel can know of it. */
			close(sock);
			pthread_exit(NULL);
		}
		if (mount_id && !(never_ready && attached))
			keep_lease();
		if (want_detach && attached) {
			want_detach = 0;
			tell(MXFS_CMD_DETACH, MXFS_A_EPOCH, &epoch, 8);
		}
		if (poll(&p, 1, 1000) <= 0)
			continue;
		if (recv(sock, &m, sizeof(m), 0) <= 0) {
			if (errno == EINTR || errno == ENOBUFS)
				continue;
			return 1;
		}
		if (m.n.nlmsg_type == NLMSG_ERROR) {
			note("answer", -*(int *)NLMSG_DATA(&m.n));
			continue;
		}
		switch (m.g.cmd) {
		case MXFS_CMD_HELLO:
			mount_id = *(uint32_t *)find(&m, MXFS_A_MOUNT);
			memcpy(&epoch, find(&m, MXFS_A_EPOCH), 8);
			state = *(uint32_t *)find(&m, MXFS_A_STATE);
			keep_lease();
			if (lockstate)
				tell(MXFS_CMD_LOCKSTATE, 0, NULL, 0);
			if (state == MXFS_STATE_STARTING) {
				epoch++;
				if (full_socket)
					fill_socket();
				attach();
				while (full_socket && system("grep -q '^state attached' /sys/kernel/debug/mxfs/*/status"))
					usleep(20000);
			} else {
				attached = state == MXFS_STATE_ATTACHED;
				ready = 1;
				tell(MXFS_CMD_READY, MXFS_A_ROLE, &role, 4);
			}
			break;
		case MXFS_EV_ATTACHED:
			attached = !*(uint32_t *)find(&m, MXFS_A_ERRNO);
			note("attached", *(uint32_t *)find(&m, MXFS_A_ERRNO));
			if (die_attached)
				_exit(3);
			if (lockstate)
				tell(MXFS_CMD_LOCKSTATE, 0, NULL, 0);
			if (!ready && attached && !never_ready) {
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
			attached = *(uint32_t *)find(&m, MXFS_A_ERRNO) != 0;
			note("detached", *(uint32_t *)find(&m, MXFS_A_ERRNO));
			break;
		case MXFS_CMD_STATUS:
			note("status", *(uint32_t *)find(&m, MXFS_A_STATE));
			break;
		case MXFS_CMD_LOCKSTATE:
			note_lockstate(&m);
			break;
		case MXFS_EV_WANT:
			epoch++;
			attach();
			break;
		case MXFS_EV_LEAVE:
			tell(MXFS_CMD_LEFT, MXFS_A_ERRNO, &zero, 4);
			return 0;
		}
	}
}
