// SPDX-License-Identifier: Apache-2.0
/*
 * One file mapped on every node, while the volume changes hands under the page faults: a fault that a change of owner overtakes
 * is served by the next attach, never failed (SIGBUS) and never served with what was there before.
 *
 *	map_turns FILE NUMBER SECONDS
 *
 * Each page holds one counter a node. A node reads all pages and counts up in some; its own counters are as it left them, and the
 * other's never go back. Pages are dropped after each round, so that reading them is a fault that goes below.
 *
 * Prints "rounds N faults N longest_ms M".
 */
#include "tap.h"

enum { PAGE = 4096, NODES = 2, STRIDE = 8 };

static volatile long page = -1;

static void on_bus(int number)
{
	(void)number;
	tap_fail(__LINE__, 0, "SIGBUS at page %ld, which is inside the file", page);
}

int main(int argc, char **argv)
{
	int me, other, fd;
	double end, before, longest = 0;
	long pages, rounds = 0;
	uint64_t *seen, *map;

	tap_pipe = 2;
	if (argc != 4 || (me = atoi(argv[2]) - 1) < 0 || me >= NODES) {
		fprintf(stderr, "usage: %s FILE 1|2 SECONDS\n", argv[0]);
		return 2;
	}
	other = 1 - me;
	signal(SIGBUS, on_bus);
	fd = OK(open(argv[1], O_RDWR));
	pages = SIZE_OF(fd) / PAGE;
	CHECK(pages > 0);
	seen = calloc(pages * NODES, sizeof(*seen));
	map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(seen && map != MAP_FAILED);
	/* No read-ahead: one fault a page, all the time. */
	OK(madvise(map, pages * PAGE, MADV_RANDOM));
	for (end = tap_millis() + atof(argv[3]) * 1000; tap_millis() < end; rounds++) {
		for (page = 0; page < pages; page++) {
			volatile uint64_t *counters = map + page * (PAGE / sizeof(*map));

			before = tap_millis();
			CHECK_EQ(counters[me], seen[page * NODES + me]);
			CHECK(counters[other] >= seen[page * NODES + other]);
			seen[page * NODES + other] = counters[other];
			if ((page + rounds) % STRIDE == 0)
				seen[page * NODES + me] = ++counters[me];
			if (tap_millis() - before > longest)
				longest = tap_millis() - before;
		}
		OK(msync(map, pages * PAGE, MS_SYNC));
		OK(madvise(map, pages * PAGE, MADV_DONTNEED));
		CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	}
	printf("rounds %ld faults %ld longest_ms %.0f\n", rounds, rounds * pages, longest);
	return 0;
}
