#!/usr/bin/env python3
"""Prints the crops that augment_test.cpp expects: SplitMix64 written from its paper, which first has to
give the published numbers for the state 1234567."""

MASK = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15


def mix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def splitmix64(state, count):
    return [mix(state + (i + 1) * STEP & MASK) for i in range(count)]


assert splitmix64(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def crop(seed, epoch, index):
    state = splitmix64(splitmix64(seed, 1)[0], epoch + 1)[epoch]
    number = splitmix64(state, index + 1)[index]
    return (number % 2**32 * 9 >> 32, (number >> 32) % 2**31 * 9 >> 31, number >> 63 == 1)


if __name__ == "__main__":
    for key in [(0, 0), (0, 1), (1, 0), (2**64 - 1, 3)]:
        print(key, [crop(*key, index) for index in (0, 1, 2, 3, 999)])
