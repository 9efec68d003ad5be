#!/usr/bin/env python3
"""Prints the orders that permutation_test.cpp and the offsets that text_windows_test.cpp expect: a Feistel
network over a rectangle, walked until its result is in range, on SplitMix64, without any C++."""

from math import isqrt

from make_crops import MASK, mix, splitmix64


def state(seed, epoch, purpose):
    return splitmix64(splitmix64(seed, 1)[0], epoch + 1)[epoch] ^ int.from_bytes(purpose, "big")


def order(size, seed, epoch):
    rows = isqrt(size - 1) + 1
    columns = -(-size // rows)
    keys = splitmix64(state(seed, epoch, b"order"), 8)

    def walk(number):
        row, column = divmod(number, columns)
        for k in range(0, 8, 2):
            row = (row + mix(keys[k] ^ column)) % rows
            column = (column + mix(keys[k + 1] ^ row)) % columns
        number = row * columns + column
        return number if number < size else walk(number)

    return walk


def offset(tokens, context, seed, epoch):
    windows = max(1, (tokens - context) // context)
    offsets = min(context, tokens - windows * context)
    return splitmix64(state(seed, epoch, b"offset"), 1)[0] % offsets


for size, seed, epoch in [(10, 0, 0), (10, 0, 1), (10, 1, 0), (10, MASK, 7)]:
    walk = order(size, seed, epoch)
    assert sorted(map(walk, range(size))) == list(range(size))
    print(size, seed, epoch, [walk(i) for i in range(size)])
for size in (10**12, 2**62):
    walk = order(size, 3, 2)
    print(size, [walk(i) for i in (0, 1, size - 1)])
for case in [(1000, 64, 0, 0), (1000, 64, 0, 1), (1000, 64, 5, 0), (70, 64, 0, 3), (65, 64, 0, 0)]:
    print(case, offset(*case))
