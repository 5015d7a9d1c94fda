# Targets of development; `make` alone lists them. Build output goes to the user's cache, so that fresh clones share it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export CARGO_TARGET_DIR ?= $(HOME)/.cache/grafikarsa/target
# SQL is checked against the committed descriptions; `make sqlx-prepare` writes them anew.
export SQLX_OFFLINE ?= true
SERVICES := auth portfolio media
DEVSTACK := $(CARGO_TARGET_DIR)/debug/devstack
SEAWEEDFS := $(HOME)/.cache/grafikarsa/seaweedfs

.PHONY: help deps dev dev-reset build test test-seaweedfs bench bench-media bench-chat bench-login lint fmt openapi sqlx-prepare

help: ## Lists these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

deps: ## Installs missing system packages and tools
	@scripts/install-deps.sh

dev: deps ## The whole stack on http://localhost:8080 (DEV_PORT) with demo data, until Ctrl-C
	@cargo build --quiet --workspace --bins
	@exec $(DEVSTACK) dev

dev-reset: ## Forgets the data of `make dev`
	@cargo build --quiet -p grafikarsa-devstack
	@$(DEVSTACK) dev-reset

build: deps ## The release binaries
	cargo build --release --workspace --bins

test: deps ## All tests, on private servers of their own
	cargo build --workspace --bins
	cargo nextest run --workspace --no-run
	$(DEVSTACK) exec -- cargo nextest run --workspace --no-fail-fast

test-seaweedfs: ## The tests of media with SeaweedFS as the store
	@scripts/install-deps.sh $(SEAWEEDFS)
	cargo build --workspace --bins
	cargo nextest run -p media --no-run
	$(DEVSTACK) exec --weed $(SEAWEEDFS)/bin/weed -- cargo nextest run -p media --no-fail-fast

bench: deps ## Measures pages of the catalogue beside PostgreSQL's own rate; about ten minutes, writes docs/benchmarks.md
	cargo build --release --workspace --bins
	cargo bench --workspace --bench content

bench-media: deps ## Measures photographs beside vipsthumbnail and sharp, and pictures through nginx; writes docs/benchmarks-media.md
	cargo build --release --workspace --bins
	SHARP_HOME="$$(scripts/install-sharp.sh)" cargo bench --workspace --bench photographs

bench-chat: deps ## Measures messages on open sockets beside bare NATS; two minutes, writes docs/benchmarks-chat.md
	cargo build --release --workspace --bins
	cargo bench --workspace --bench chat

bench-login: deps ## Measures logins beside raw argon2id, with release builds behind nginx
	cargo build --release --workspace --bins
	cargo bench --workspace --bench login

lint: deps ## Format, clippy, freshness of generated files, one TLS provider
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	scripts/check-tls.sh
	cargo build --workspace --bins
	$(DEVSTACK) openapi --check
	$(DEVSTACK) exec --unmigrated -- scripts/sqlx-prepare.sh --check

fmt: ## Formats the code
	cargo fmt --all

openapi: deps ## Writes docs/openapi.json anew
	cargo build --workspace --bins
	$(DEVSTACK) openapi

sqlx-prepare: deps ## Writes the descriptions of the checked SQL anew
	cargo build -p grafikarsa-devstack
	$(DEVSTACK) exec --unmigrated -- scripts/sqlx-prepare.sh
