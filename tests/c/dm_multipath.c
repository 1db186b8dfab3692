// SPDX-License-Identifier: Apache-2.0
/*
 * Makes and removes a device-mapper multipath device, as multipathd would, by the ioctls of linux/dm-ioctl.h: for nodes without
 * the dmsetup program.
 *
 *	dm_multipath create NAME SECTORS MAJOR:MINOR...	prints the name of the device, e.g. dm-0
 *	dm_multipath remove NAME
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <linux/dm-ioctl.h>

static union {
	struct dm_ioctl head;
	char bytes[4096];
} request;

static void begin(const char *name)
{
	memset(&request, 0, sizeof(request));
	request.head.version[0] = DM_VERSION_MAJOR;
	request.head.data_size = sizeof(request);
	request.head.data_start = sizeof(request.head);
	snprintf(request.head.name, sizeof(request.head.name), "%s", name);
}

static void send_request(int control, unsigned long number, const char *what)
{
	if (ioctl(control, number, &request) < 0)
		err(1, "%s of %s", what, request.head.name);
}

/* One group with all paths, taken in turns: 0 features, 0 hardware handlers, 1 group, 1 to begin with. */
static void load(int control, const char *name, unsigned long long sectors, char **paths, int count)
{
	struct dm_target_spec *spec;
	char *text;
	int used;

	begin(name);
	spec = (struct dm_target_spec *)(request.bytes + request.head.data_start);
	text = (char *)(spec + 1);
	used = sprintf(text, "0 0 1 1 round-robin 0 %d 0", count);
	for (int i = 0; i < count; i++)
		used += sprintf(text + used, " %s", paths[i]);
	spec->length = sectors;
	spec->next = sizeof(*spec) + ((used + 8) & ~7);
	snprintf(spec->target_type, sizeof(spec->target_type), "multipath");
	request.head.target_count = 1;
	send_request(control, DM_TABLE_LOAD, "loading the table");
}

int main(int argc, char **argv)
{
	int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		err(1, "/dev/mapper/control: is dm_multipath loaded?");
	if (argc == 3 && !strcmp(argv[1], "remove")) {
		begin(argv[2]);
		send_request(control, DM_DEV_REMOVE, "removing");
		return 0;
	}
	if (argc < 5 || argc > 12 || strcmp(argv[1], "create"))
		errx(2, "usage: dm_multipath create NAME SECTORS MAJOR:MINOR... | remove NAME");

	begin(argv[2]);
	snprintf(request.head.uuid, sizeof(request.head.uuid), "mpath-%s", argv[2]);
	send_request(control, DM_DEV_CREATE, "creating");
	printf("dm-%u\n", minor(request.head.dev));
	load(control, argv[2], strtoull(argv[3], NULL, 10), argv + 4, argc - 4);
	begin(argv[2]);
	send_request(control, DM_DEV_SUSPEND, "resuming"); /* without DM_SUSPEND_FLAG: the new table becomes active */
	close(control);
	return 0;
}
