// SPDX-License-Identifier: Apache-2.0
/*
 * A store through a map while an asynchronous O_DIRECT write to the same page is on its way: queued FILE. The disk is one that hangs
 * until it is resumed (tests/c/dm.c). Writes the first page of FILE with 'w' and prints "begun" when the request is on its way; then, after
 * a line of standard input each: stores 'm' into the whole page and prints "stored"; waits for the end of the write and prints "done RESULT";
 * prints "map C", the byte that the map has, if it has no other; prints "fsync 0" or "fsync ENAME".
 */
#include "tap.h"
#include <linux/aio_abi.h>

enum { PAGE = 4096 };

static int next(void)
{
	char line[16];

	return fgets(line, sizeof(line), stdin) != NULL;
}

int main(int argc, char **argv)
{
	static char page[PAGE] __attribute__((aligned(PAGE)));
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (uintptr_t)page, .aio_nbytes = PAGE }, *list = &cb;
	aio_context_t context = 0;
	struct io_event event;
	char *map;
	int fd;

	tap_pipe = 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2)
		return 2;
	fd = OK(open(argv[1], O_RDWR));
	cb.aio_fildes = OK(open(argv[1], O_RDWR | O_DIRECT));
	map = OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	memset(page, 'w', PAGE);
	OK(syscall(SYS_io_setup, 1, &context));
	CHECK_EQ(syscall(SYS_io_submit, context, 1, &list), 1);
	printf("begun\n");
	if (!next())
		return 1;
	memset(map, 'm', PAGE);
	printf("stored\n");
	if (!next())
		return 1;
	CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
	printf("done %lld\n", (long long)event.res);
	if (!next())
		return 1;
	printf(memcmp(map, map + 1, PAGE - 1) ? "map mixed\n" : map[0] ? "map %c\n" : "map zero\n", map[0]);
	if (!next())
		return 1;
	printf("fsync %s\n", fsync(fd) ? strerrorname_np(errno) : "0");
	return 0;
}
