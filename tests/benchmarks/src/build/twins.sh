#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# twins.sh CC SOURCES OUT: compiles each C program that is newer than what was made of it.
set -eu
cc=$1 sources=$2 out=$3
mkdir -p "$out"
for source in "$sources"/*.c; do
	program=$out/$(basename "$source" .c)
	newer=$(find "$sources" -newer "$program" 2>/dev/null || echo "all")
	if [ ! -x "$program" ] || [ -n "$newer" ]; then
		"$cc" -std=gnu17 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE -pthread -o "$program" "$source"
	fi
done
