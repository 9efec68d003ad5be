#!/usr/bin/env python3
"""Prints the orders that batches_test.cpp expects: a Fisher-Yates shuffle on a 64-bit Mersenne twister
seeded through std::seed_seq, written from the C++ standard ([rand.util.seedseq], [rand.eng.mers]) without
any C++."""

MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1


def seed_seq(words, n):
    out = [0x8B8B8B8B] * n
    s = len(words)
    t = 11 if n >= 623 else 7 if n >= 68 else 5 if n >= 39 else 3 if n >= 7 else (n - 1) // 2
    p = (n - t) // 2
    q = p + t
    m = max(s + 1, n)
    mix = lambda x: x ^ (x >> 27)
    for k in range(m):
        r1 = 1664525 * mix(out[k % n] ^ out[(k + p) % n] ^ out[(k - 1) % n]) & MASK32
        r2 = r1 + (s if k == 0 else k % n + words[k - 1] if k <= s else k % n) & MASK32
        out[(k + p) % n] = out[(k + p) % n] + r1 & MASK32
        out[(k + q) % n] = out[(k + q) % n] + r2 & MASK32
        out[k % n] = r2
    for k in range(m, m + n):
        r3 = 1566083941 * mix(out[k % n] + out[(k + p) % n] + out[(k - 1) % n] & MASK32) & MASK32
        r4 = r3 - k % n & MASK32
        out[(k + p) % n] ^= r3
        out[(k + q) % n] ^= r4
        out[k % n] = r4
    return out


def mt19937_64(words):
    n, m = 312, 156
    halves = seed_seq(words, 2 * n)
    x = [halves[2 * i] | halves[2 * i + 1] << 32 for i in range(n)]
    while True:
        for i in range(n):
            y = x[i] & ~0x7FFFFFFF & MASK64 | x[(i + 1) % n] & 0x7FFFFFFF
            x[i] = x[(i + m) % n] ^ y >> 1 ^ (0xB5026F5AA96619E9 if y & 1 else 0)
        for z in x:
            z ^= z >> 29 & 0x5555555555555555
            z ^= z << 17 & 0x71D67FFFEDA60000 & MASK64
            z ^= z << 37 & 0xFFF7EEE000000000 & MASK64
            yield z ^ z >> 43


def order(count, seed, epoch):
    numbers = mt19937_64([seed & MASK32, seed >> 32, epoch & MASK32])
    indices = list(range(count))
    for i in range(count, 1, -1):
        j = next(numbers) % i
        indices[i - 1], indices[j] = indices[j], indices[i - 1]
    return indices


for seed, epoch in [(0, 0), (0, 1), (1, 0), (1 << 32, 0)]:
    print(f"seed {seed}, epoch {epoch}: {order(10, seed, epoch)}")
