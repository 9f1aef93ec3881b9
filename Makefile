# `make bench` measures this machine and prints the table; `make test` runs every check. Both prepare a fresh machine first.

READY := .venv/ready

# Graphics libraries complain on every start where this folder is missing, as on most machines without a screen.
ifeq ($(and $(XDG_RUNTIME_DIR),$(wildcard $(XDG_RUNTIME_DIR)/.)),)
export XDG_RUNTIME_DIR := $(shell mkdir -p build && mkdir -p -m 700 build/runtime && echo $(CURDIR)/build/runtime)
endif

.PHONY: bench test lint setup clean

bench: $(READY)
	.venv/bin/tritmark run --suite default --out runs/$$(date -u +%Y-%m-%dT%H-%M-%SZ)

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
