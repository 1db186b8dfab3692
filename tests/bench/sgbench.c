// SPDX-License-Identifier: Apache-2.0
/*
 * The C twin of what the SCSI library's test program does for `lab bench scsi`: as many TEST UNIT READY by SG_IO as each line of
 * standard input says; prints the nanoseconds that they took.
 *
 *	sgbench DEVICE
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <scsi/sg.h>

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void test_unit_ready(int fd)
{
	unsigned char cdb[6] = { 0 }, sense[252];
	struct sg_io_hdr header = {
		.interface_id = 'S',
		.dxfer_direction = SG_DXFER_NONE,
		.cmd_len = sizeof(cdb),
		.mx_sb_len = sizeof(sense),
		.cmdp = cdb,
		.sbp = sense,
		.timeout = 10000,
	};

	if (ioctl(fd, SG_IO, &header) < 0)
		err(1, "SG_IO");
	if (header.status || header.host_status)
		errx(1, "TEST UNIT READY: status %d, host status %d", header.status, header.host_status);
}

int main(int argc, char **argv)
{
	char line[32];
	int fd;

	if (argc != 2)
		errx(2, "usage: sgbench DEVICE");
	fd = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", argv[1]);
	while (fgets(line, sizeof(line), stdin)) {
		long long start = now();

		for (int left = atoi(line); left > 0; left--)
			test_unit_ready(fd);
		printf("%lld\n", now() - start);
		fflush(stdout);
	}
	return 0;
}
