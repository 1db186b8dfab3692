// SPDX-License-Identifier: Apache-2.0
/*
 * A device that takes its time to read into pages of a map: pinned FILE DEVICE PAGES. Maps PAGES of FILE shared, stores into each, and
 * begins a read of as many from DEVICE (O_DIRECT) into the map. DEVICE is one that hangs until it is resumed (tests/c/dm.c).
 * Prints "pinned" when the request is on its way (io_submit() returned: its pages are pinned), and on a line of standard input
 * waits for its end, prints "done RESULT" and, on another line, "fsync 0" or "fsync ENAME".
 * pinned FILE DEVICE PAGES stream: as many short requests at a time, each followed by the next one, until a line comes.
 * pinned FILE DEVICE PAGES BYTES: reads only as much.
 * pinned FILE snag: no device; an ordinary user, who may only read FILE, has pipes refer to its first page 1,280 times (vmsplice(2)). Prints
 * "pinned" and ends after a line.
 * pinned FILE DEVICE PAGES cold: as without, but nothing is stored before, so each page is brought in when it is to be pinned.
 * PAGES may be N+FIRST: N pages of FILE from page FIRST on.
 */
#include "tap.h"
#include <linux/aio_abi.h>
#include <poll.h>

enum { PAGE = 4096 };

enum { REQUESTS = 8 };

/* Each request has its part of the map. */
static long long stream(int device, char *map, size_t len)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	struct iocb requests[REQUESTS] = { 0 }, *one;
	aio_context_t context = 0;
	struct io_event event;
	long long done = 0;
	size_t part = len / REQUESTS;

	OK(syscall(SYS_io_setup, REQUESTS, &context));
	for (int i = 0; i < REQUESTS; i++) {
		one = &requests[i];
		one->aio_lio_opcode = IOCB_CMD_PREAD;
		one->aio_fildes = device;
		one->aio_offset = i * part;
		one->aio_buf = (uintptr_t)map + i * part;
		one->aio_nbytes = part;
		CHECK_EQ(syscall(SYS_io_submit, context, 1, &one), 1);
	}
	printf("pinned\n");
	for (int flying = REQUESTS; flying; done++) {
		CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
		CHECK_EQ(event.res, (long long)part);
		one = (void *)(uintptr_t)event.obj;
		if (poll(&in, 1, 0) > 0)
			flying--;
		else
			CHECK_EQ(syscall(SYS_io_submit, context, 1, &one), 1);
	}
	return done;
}

/* For a page by itself, the kernel tells pins and references apart by their number (folio_maybe_dma_pinned()). */
static int snag(const char *file)
{
	enum { PIPES = 5, SLOTS = 256 };
	static struct iovec parts[SLOTS];
	int fd, ends[2];
	char line[16], *map;

	BECOME(65534);
	fd = OK(open(file, O_RDONLY));
	map = OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	for (int i = 0; i < SLOTS; i++)
		parts[i] = (struct iovec){ map, PAGE };
	for (int i = 0; i < PIPES; i++) {
		OK(pipe(ends));
		OK(fcntl(ends[1], F_SETPIPE_SZ, SLOTS * PAGE));
		CHECK_EQ(vmsplice(ends[1], parts, SLOTS, SPLICE_F_NONBLOCK), SLOTS * PAGE);
	}
	printf("pinned\n");
	return !fgets(line, sizeof(line), stdin);
}

int main(int argc, char **argv)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PREAD }, *list = &cb;
	aio_context_t context = 0;
	struct io_event event;
	char line[16], *map, *first;
	int fd, device;
	off_t from;
	bool cold;
	size_t len;

	tap_pipe = 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[2], "snag"))
		return snag(argv[1]);
	if (argc != 4 && argc != 5)
		return 2;
	cold = argc == 5 && !strcmp(argv[4], "cold");
	len = strtoul(argv[3], &first, 10) * PAGE;
	from = strtoul(first, NULL, 10) * PAGE;
	fd = OK(open(argv[1], O_RDWR));
	device = OK(open(argv[2], O_RDONLY | O_DIRECT));
	map = OK(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, from));
	for (size_t at = 0; at < len && !cold; at += PAGE)
		((volatile char *)map)[at] = 's';
	if (argc == 5 && !strcmp(argv[4], "stream")) {
		printf("done %lld\n", stream(device, map, len));
		goto end;
	}
	cb.aio_fildes = device;
	cb.aio_buf = (uintptr_t)map;
	cb.aio_nbytes = argc == 5 && !cold ? (size_t)atoi(argv[4]) : len;
	OK(syscall(SYS_io_setup, 1, &context));
	CHECK_EQ(syscall(SYS_io_submit, context, 1, &list), 1);
	printf("pinned\n");
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
	printf("done %lld\n", (long long)event.res);
end:
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	printf("fsync %s\n", fsync(fd) ? strerrorname_np(errno) : "0");
	return 0;
}
