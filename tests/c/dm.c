// SPDX-License-Identifier: Apache-2.0
/*
 * A device-mapper device that can be made to hang: dm linear NAME DEVICE | suspend NAME | resume NAME | remove NAME.
 * "linear" maps the whole of DEVICE and prints the new device's path. A suspended device takes requests and ends none until it is
 * resumed, and nothing can cancel them: a disk that hangs (linux/dm-ioctl.h). For lab nodes only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct command {
	struct dm_ioctl dm;
	struct dm_target_spec target;
	char arguments[256];
};

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

static int linear(const char *name, const char *device)
{
	struct command c;
	unsigned long long sectors;

	if (sectors_of(device, &sectors))
		return 1;
	prepare(&c, name, 0);
	if (ask(DM_DEV_CREATE, &c, "create"))
		return 1;
	prepare(&c, name, 0);
	c.dm.target_count = 1;
	c.target.length = sectors;
	snprintf(c.target.target_type, sizeof(c.target.target_type), "linear");
	snprintf(c.arguments, sizeof(c.arguments), "%s 0", device);
	if (ask(DM_TABLE_LOAD, &c, "load"))
		return 1;
	prepare(&c, name, 0);
	if (ask(DM_DEV_SUSPEND, &c, "resume"))
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
		return linear(argv[2], argv[3]);
	if (argc == 3) {
		int suspend = !strcmp(argv[1], "suspend");

		prepare(&c, argv[2], suspend ? DM_SUSPEND_FLAG : 0);
		if (suspend || !strcmp(argv[1], "resume"))
			return ask(DM_DEV_SUSPEND, &c, argv[1]);
		if (!strcmp(argv[1], "remove"))
			return ask(DM_DEV_REMOVE, &c, "remove");
	}
	fprintf(stderr, "usage: dm linear NAME DEVICE | suspend NAME | resume NAME | remove NAME\n");
	return 2;
}
