// SPDX-License-Identifier: Apache-2.0
/*
 * Small operations as fast as they go, for a number of seconds, and how long the slowest of them waited: for fairness
 * between nodes that all want the volume.
 *
 *	hammer DIRECTORY NUMBER SECONDS
 *
 * Prints "operations N longest_ms M runs R": a run is a stretch without a wait of 20 ms or more.
 */
#include "tap.h"

int main(int argc, char **argv)
{
	double begin = tap_millis(), end, before, took, longest = 0;
	long operations = 0, runs = 1;
	char name[64], record[32];
	uint64_t written = 0;
	int fd;

	tap_pipe = 2;
	if (argc != 4 || chdir(argv[1])) {
		fprintf(stderr, "usage: %s DIRECTORY NUMBER SECONDS\n", argv[0]);
		return 2;
	}
	snprintf(name, sizeof(name), "hammer-%s", argv[2]);
	end = begin + atof(argv[3]) * 1000;
	while (tap_millis() < end) {
		before = tap_millis();
		fd = OK(open(name, O_CREAT | O_WRONLY | O_APPEND, 0644));
		tap_pattern(record, sizeof(record), 1, written);
		CHECK_EQ(write(fd, record, sizeof(record)), sizeof(record));
		written += sizeof(record);
		close(fd);
		took = tap_millis() - before;
		longest = took > longest ? took : longest;
		runs += took >= 20;
		operations++;
	}
	fd = OK(open(name, O_RDONLY));
	CHECK_EQ(SIZE_OF(fd), written);
	HOLDS(fd, 0, written, 1, 0);
	OK(unlink(name));
	printf("operations %ld longest_ms %.0f runs %ld\n", operations, longest, runs);
	return 0;
}
