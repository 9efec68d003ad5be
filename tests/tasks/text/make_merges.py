#!/usr/bin/env python3
"""Prints the words, merges and tokens that vocabulary_test.cpp expects: byte-pair encoding by its definition,
every pair of every word counted anew for each merge, without any C++."""

import re
from collections import Counter

TEXT = "the theatre; the Thé, the thé--été's 12345 thetheth\u2026 the\r\n  thé\u00a0été \U0001f600\U0001f600 the\t\U0001f600\n"

LETTERS = r"(?:[A-Za-z]|[^\x00-\xbf\u2000-\u206f\u3000-\u303f])+"
SIGNS = r"(?:(?![A-Za-z0-9\s])[\x00-\x7f]|[\x80-\xbf\u2000-\u206f\u3000-\u303f])+"
WORD = re.compile(rf"'{LETTERS}| ?{LETTERS}| ?[0-9]{{1,3}}| ?{SIGNS}|[ \t-\r]+(?= [^ \t-\r])|[ \t-\r]+", re.ASCII)


def words(text):
    found = WORD.findall(text)
    assert "".join(found) == text
    return [list(word.encode()) for word in found]


def merge(tokens, pair, merged):
    out = []
    for token in tokens:
        if out and (out[-1], token) == pair:
            out[-1] = merged
        else:
            out.append(token)
    return out


def merges(text, count):
    tokens, learned = words(text), []
    while len(learned) < count:
        pairs = Counter(pair for word in tokens for pair in zip(word, word[1:]))
        pair = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if pair is None or pairs[pair] < 2:
            break
        tokens = [merge(word, pair, 256 + len(learned)) for word in tokens]
        learned.append(pair)
    return learned


def encode(text, learned):
    tokens = words(text)
    for k, pair in enumerate(learned):
        tokens = [merge(word, pair, 256 + k) for word in tokens]
    return [token for word in tokens for token in word]


if __name__ == "__main__":
    learned = merges(TEXT, 1000)
    print([bytes(word).decode() for word in words(TEXT)])
    print(learned)
    print(encode(TEXT, learned))
    print(encode("other thé", learned))
