# `make bench` measures this machine and prints the table; `make test` runs every check. Both prepare a fresh machine first.

READY := .venv/ready
READY_TO_TEST := .venv/ready-to-test

.PHONY: bench test lint setup clean

bench: $(READY)
	.venv/bin/tritmark run --suite default

test: $(READY_TO_TEST)
	.venv/bin/python .ci/check.py

lint: $(READY_TO_TEST)
	.venv/bin/ruff check .
	.ci/types

setup: $(READY)

$(READY): pyproject.toml .ci/setup
	.ci/setup
	@touch $@

$(READY_TO_TEST): pyproject.toml .ci/setup
	.ci/setup test
	@touch $(READY) $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
