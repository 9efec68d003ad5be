# The commands of the house. Each prints what it does, stops at the first failure, and is quick the second time.
#
#   make demo    train Fashion-MNIST in four precisions and show what each costs
#   make test    build everything with the pinned LibTorch and run every test
#   make lint    the form of every file: formatting, shell scripts, who includes whom
#   make tidy    clang-tidy over the sources that changed
#   make parity  compare with Python's PyTorch, live
#   make bench   measure against peers; figures go to runs/bench/
#   make deps    install what is missing (demo, test, parity and bench do it themselves)
#   make clean   remove what was built and run here
.PHONY: deps demo lint tidy test parity bench clean
.DEFAULT_GOAL := demo
SHELL := /bin/bash

deps:
	@tools/deps

demo:
	@tools/make-demo

lint:
	@tools/lint

tidy:
	@tools/tidy

test:
	@tools/make-test

parity:
	@tools/make-parity

bench:
	@tools/make-bench

clean:
	rm -rf build runs
