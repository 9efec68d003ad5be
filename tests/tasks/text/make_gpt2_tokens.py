#!/usr/bin/env python3
"""Prints the words and tokens that gpt2_files_test.cpp and gpt2_words_test.cpp expect, from PyPI's tokenizers (0.23.3): a
vocabulary of the 256 letters by code point, then what the merges make, then <|endoftext|>."""

from tokenizers import Tokenizer, models, pre_tokenizers

MERGES = "a b,b c,ab c,a bc,abc a,a a,aa a,c abc,Ġ a,aa aa,Ġ abc,1 1,11 1,aaa a,Ã ©".split(",")
TEXTS = [
    "abc aabcab bca aaaaaaa",
    "1111 11,111\n\n  abc\t a",
    "\u00e9t\u00e9 na\u00efve \u6f22\u5b57 \U0001f600",
    "ab<|endoftext|> abc<|endoftext|><|endoftext",
    "\x00\x7f\x85\u00a0\u00ad",
]
WORDS = ["I'll don't 'tis we'd'S", "x  = 12\u00bd\u2160;\n\n  y\t z  ", " \u6f22\u5b57\u3002\u00a0\u00a0e\u0301!", "a\u3000 b\n \nc"]


def main():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet(), key=ord)
    numbers = {letter: i for i, letter in enumerate(letters)}
    merges = [tuple(line.split(" ")) for line in MERGES]
    for left, right in merges:
        numbers.setdefault(left + right, len(numbers))
    numbers["<|endoftext|>"] = len(numbers)
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    print(len(numbers))
    for text in TEXTS:
        print(ascii(text), tokenizer.encode(text).ids)
    for text in WORDS:
        print(ascii(text), [ascii(text[first:last]) for _, (first, last) in tokenizer.pre_tokenizer.pre_tokenize_str(text)])


if __name__ == "__main__":
    main()
