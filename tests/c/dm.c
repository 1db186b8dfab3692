// SPDX-License-Identifier: Apache-2.0
/*
 * A device-mapper device that can be made to hang or to fail:
 * dm linear NAME DEVICE | slow NAME DEVICE MS | fail NAME DEVICE FIRST COUNT |
 * refuse NAME DEVICE FIRST COUNT | part NAME DEVICE OTHER FIRST COUNT MS | heal NAME DEVICE |
 * suspend NAME | stop NAME | resume NAME | remove NAME.
 * "linear" maps the whole of DEVICE and prints the new device's path. A suspended device takes requests and ends none until it is
 * resumed, and nothing can cancel them: a disk that hangs (linux/dm-ioctl.h). "fail" makes COUNT sectors from FIRST on answer every
 * request with an I/O error, "refuse" writes only (modprobe dm-flakey; on a
 * disk with a write cache flushes fail, too), "heal" maps them again. "suspend" freezes the file system on it first, "stop" does not. "slow" ends each
 * request MS later (modprobe dm-delay); "part" has COUNT sectors from FIRST on on OTHER, MS later. For lab nodes only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct command {
	struct dm_ioctl dm;
	struct segment {
		struct dm_target_spec target;
		char arguments[256];
	} segments[3];
};

enum fault { FAILS, REFUSES };

static int control;

static void prepare(struct command *c, const char *name, unsigned flags)
{
	memset(c, 0, sizeof(*c));
	c->dm.version[0] = DM_VERSION_MAJOR;
	c->dm.data_size = sizeof(*c);
	c->dm.data_start = sizeof(c->dm);
	c->dm.flags = flags;
	snprintf(c->dm.name, sizeof(c->dm.name), "%s", name);
}

static int ask(unsigned long request, struct command *c, const char *what)
{
	if (ioctl(control, request, c) == 0)
		return 0;
	fprintf(stderr, "dm: %s %s: %s\n", what, c->dm.name, strerror(errno));
	return 1;
}

static int sectors_of(const char *device, unsigned long long *sectors)
{
	unsigned long long bytes = 0;
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	int failed = fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0;

	if (failed)
		fprintf(stderr, "dm: %s: %s\n", device, strerror(errno));
	if (fd >= 0)
		close(fd);
	*sectors = bytes / 512;
	return failed;
}

static void segment(struct command *c, unsigned long long first, unsigned long long end, const char *device)
{
	struct segment *one = &c->segments[c->dm.target_count];

	if (first == end)
		return;
	c->dm.target_count++;
	one->target.sector_start = first;
	one->target.length = end - first;
	one->target.next = sizeof(*one);
	snprintf(one->target.target_type, sizeof(one->target.target_type), device ? "linear" : "error");
	if (device)
		snprintf(one->arguments, sizeof(one->arguments), "%s %llu", device, first);
}

/* All of DEVICE, but for the sectors from @bad to @good. @flags: DM_SKIP_LOCKFS_FLAG freezes no file system for that. */
static int map(const char *name, const char *device, unsigned long long bad, unsigned long long good, enum fault fault, unsigned flags)
{
	struct segment *faulty;
	struct command c;
	unsigned long long sectors;

	if (sectors_of(device, &sectors))
		return 1;
	if (good > sectors || bad > good) {
		fprintf(stderr, "dm: %s has %llu sectors\n", device, sectors);
		return 1;
	}
	prepare(&c, name, 0);
	segment(&c, 0, bad, device);
	faulty = &c.segments[c.dm.target_count];
	segment(&c, bad, good, NULL);
	if (bad < good && fault == REFUSES) {
		snprintf(faulty->target.target_type, sizeof(faulty->target.target_type), "flakey");
		/* 0 s without it, then 1000 s with it, and so on */
		snprintf(faulty->arguments, sizeof(faulty->arguments), "%s %llu 0 1000 1 error_writes", device, bad);
	}
	segment(&c, good, sectors, device);
	if (ask(DM_TABLE_LOAD, &c, "load"))
		return 1;
	/* Resuming swaps the tables; what is under way ends by the old one. */
	prepare(&c, name, flags);
	if (ask(DM_DEV_SUSPEND, &c, "resume"))
		return 1;
	return 0;
}

/* All of DEVICE, and every request takes as long. */
static int slow(const char *name, const char *device, const char *ms)
{
	struct command c;
	unsigned long long sectors;

	if (sectors_of(device, &sectors))
		return 1;
	prepare(&c, name, 0);
	segment(&c, 0, sectors, device);
	snprintf(c.segments[0].target.target_type, sizeof(c.segments[0].target.target_type), "delay");
	snprintf(c.segments[0].arguments, sizeof(c.segments[0].arguments), "%s 0 %s", device, ms);
	if (ask(DM_TABLE_LOAD, &c, "load"))
		return 1;
	prepare(&c, name, 0);
	return ask(DM_DEV_SUSPEND, &c, "resume");
}

/* All of DEVICE, but the sectors from @first to @end are those of OTHER, and take as long. */
static int part(const char *name, const char *device, const char *other, unsigned long long first, unsigned long long end, const char *ms)
{
	unsigned long long sectors;
	struct segment *late;
	struct command c;

	if (sectors_of(device, &sectors))
		return 1;
	if (end > sectors || first >= end) {
		fprintf(stderr, "dm: %s has %llu sectors\n", device, sectors);
		return 1;
	}
	prepare(&c, name, 0);
	segment(&c, 0, first, device);
	late = &c.segments[c.dm.target_count];
	segment(&c, first, end, other);
	snprintf(late->target.target_type, sizeof(late->target.target_type), "delay");
	snprintf(late->arguments, sizeof(late->arguments), "%s %llu %s", other, first, ms);
	segment(&c, end, sectors, device);
	if (ask(DM_TABLE_LOAD, &c, "load"))
		return 1;
	prepare(&c, name, 0);
	return ask(DM_DEV_SUSPEND, &c, "resume");
}

static int create(const char *name, const char *device, const char *ms)
{
	struct command c;

	prepare(&c, name, 0);
	if (ask(DM_DEV_CREATE, &c, "create") || (ms ? slow(name, device, ms) : map(name, device, 0, 0, FAILS, 0)))
		return 1;
	prepare(&c, name, 0);
	if (ask(DM_DEV_STATUS, &c, "status"))
		return 1;
	printf("/dev/dm-%u\n", minor(c.dm.dev));
	return 0;
}

int main(int argc, char **argv)
{
	struct command c;

	if (access("/dev/mxfs-lab", F_OK)) {
		fprintf(stderr, "dm: this is no lab node\n");
		return 2;
	}
	control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (control < 0) {
		fprintf(stderr, "dm: /dev/mapper/control: %s (modprobe dm-mod)\n", strerror(errno));
		return 1;
	}
	if (argc == 4 && !strcmp(argv[1], "linear"))
		return create(argv[2], argv[3], NULL);
	if (argc == 5 && !strcmp(argv[1], "slow"))
		return create(argv[2], argv[3], argv[4]);
	if (argc == 4 && !strcmp(argv[1], "heal"))
		/* A file system that could not write cannot be frozen. */
		return map(argv[2], argv[3], 0, 0, FAILS, DM_SKIP_LOCKFS_FLAG);
	if (argc == 6 && (!strcmp(argv[1], "fail") || !strcmp(argv[1], "refuse"))) {
		unsigned long long first = strtoull(argv[4], NULL, 10);

		return map(argv[2], argv[3], first, first + strtoull(argv[5], NULL, 10), *argv[1] == 'f' ? FAILS : REFUSES, 0);
	}
	if (argc == 8 && !strcmp(argv[1], "part")) {
		unsigned long long first = strtoull(argv[5], NULL, 10);

		return part(argv[2], argv[3], argv[4], first, first + strtoull(argv[6], NULL, 10), argv[7]);
	}
	if (argc == 3) {
		int suspend = !strcmp(argv[1], "suspend"), stop = !strcmp(argv[1], "stop");

		prepare(&c, argv[2], suspend ? DM_SUSPEND_FLAG : stop ? DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG | DM_NOFLUSH_FLAG : 0);
		if (suspend || stop || !strcmp(argv[1], "resume"))
			return ask(DM_DEV_SUSPEND, &c, argv[1]);
		if (!strcmp(argv[1], "remove"))
			return ask(DM_DEV_REMOVE, &c, "remove");
	}
	fprintf(stderr, "usage: dm linear NAME DEVICE | slow NAME DEVICE MS | fail NAME DEVICE FIRST COUNT | "
		"refuse NAME DEVICE FIRST COUNT | part NAME DEVICE OTHER FIRST COUNT MS | heal NAME DEVICE | suspend NAME | stop NAME | resume NAME | remove NAME\n");
	return 2;
}
