# One task runner: every target is what a newcomer, a developer and CI type.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
CORE_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml $(wildcard Cargo.lock) pyproject.toml scripts/setup

.PHONY: setup demo test lint format compare-buildkit bench fuzz mutate soak peers walls clean help

help: ## Say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(STAMP) ## Make .venv, build the release core, install the package and what it needs

$(STAMP): $(CORE_SOURCES)
	@scripts/setup
	@touch $(STAMP)

demo: setup ## Build the Node example, rebuild it from cache, run it, print the table
	@$(PY) examples/demo.py

test: setup ## Rust and Python tests, root and rootless
	@scripts/cargo test --workspace --quiet
	@$(PY) -m pytest

lint: setup ## Formatters, linters, type checkers, stubs, import ranks and titles of commits
	@scripts/lint

format: setup ## Rewrite the sources in the one format
	@scripts/cargo fmt --all
	@scripts/cargo fmt --manifest-path fuzz/Cargo.toml
	@$(VENV)/bin/ruff format python tests benches examples fuzz
	@$(VENV)/bin/ruff check --fix --quiet python tests benches examples fuzz

compare-buildkit: setup ## Build the cases of tests/cases with BuildKit's daemon too, and compare
	@DISSOLVER_TEST_BUILDKIT=1 $(PY) -m pytest -q tests/cases/test_same_as_buildkit.py

bench: setup ## Benchmarks with ratios against a floor and peers
	@$(PY) -m pytest benches --benchmark-only

fuzz: ## Fuzz what reads archives, indexes and patterns; DURATION=600 seconds each, TARGETS=all
	@scripts/fuzz

mutate: setup ## Plan and check 100,000 random and mutated Dockerfiles and bake files; EXAMPLES
	@DISSOLVER_FUZZ_EXAMPLES=$(or $(EXAMPLES),100000) $(PY) -m pytest -q tests/dockerfile/test_random_text.py tests/bake/test_random_files.py

soak: setup ## Kill builds, imports, pulls and prunes at 200 random moments; KILLS, SEED
	@DISSOLVER_SOAK_KILLS=$(or $(KILLS),200) DISSOLVER_SOAK_SEED=$(SEED) $(PY) -m pytest -q -s tests/soak

peers: setup ## Send images to Docker and podman and back, and run them (root)
	@DISSOLVER_TEST_PEERS=1 $(PY) -m pytest -q tests/peers

walls: setup ## Take each wall of the sandbox away and see its tests fall (root); WALLS="seccomp nodev"
	@cd tests && ../$(PY) -m walls.run_walls $(WALLS)

clean: ## Remove what was built (the image store is not touched)
	rm -rf $(VENV) target fuzz/target python/dissolver/_core.abi3.so
