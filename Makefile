# `make bench` measures this machine and prints the table; `make test` runs every check. Both prepare a fresh machine first.

READY := .venv/ready

.PHONY: bench test lint setup clean

bench: $(READY)
	.venv/bin/tritmark run --suite default

test: $(READY)
	.venv/bin/python .ci/check.py

lint: $(READY)
	.venv/bin/ruff check .
	.ci/types

setup: $(READY)

$(READY): pyproject.toml .ci/setup
	.ci/setup
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
