# What one does here. Each target says what it lacks when it lacks something.

# Stories at a time: most of a story is waiting, but an agent takes its share of two cores.
STORIES ?= 3
# Narrows `make test` down: STORY=recovery runs the stories with that in their names.
STORY ?=

.PHONY: help demo test unit stories figures lint mutants

help:
	@echo "make demo     watch a tree bring real jobs up in a real Nomad (DTREE_DEMO_UNGATED=1: see it fail without)"
	@echo "make test     unit and property tests, then the stories against a real Nomad"
	@echo "make unit     the first half of it, without Nomad"
	@echo "make stories  the second half of it; STORY=name narrows it down"
	@echo "make figures  the figures of the README, measured on this machine (about half an hour)"
	@echo "make lint     formatting and clippy, warnings are errors"
	@echo "make mutants  does a test fail for each line of the core that is changed?"

demo: cargo
	@e2e/nomad/find >/dev/null
	@cargo build --quiet --bins --examples
	@cargo run --quiet --example demo

test: unit stories

unit: cargo
	cargo test --lib --bins --test process --test cli

stories: cargo
	@e2e/nomad/find >/dev/null
	@e2e/consul/find >/dev/null
	cargo build --bins --examples
	e2e/stories $(STORIES) $(STORY)

figures: cargo
	@e2e/nomad/find >/dev/null
	cargo build --release --bins --examples
	cargo run --release --quiet --example figures

lint: cargo
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

mutants: cargo
	@cargo mutants --version >/dev/null 2>&1 || { echo "make mutants needs cargo-mutants: cargo install --locked cargo-mutants" >&2; exit 1; }
	cargo mutants --file 'plugin/condition/**' --file 'plugin/engine/**' -- --lib

.PHONY: cargo
cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or later" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "cc is missing: Rust links with it (on Debian: apt-get install build-essential)" >&2; exit 1; }
