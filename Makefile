# Targets of development and of running the product on Docker; `make` alone lists them. Build output goes to the user's
# cache, so that fresh clones share it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export CARGO_TARGET_DIR ?= $(HOME)/.cache/grafikarsa/target
# SQL is checked against the committed descriptions; `make sqlx-prepare` writes them anew.
export SQLX_OFFLINE ?= true
SERVICES := auth portfolio media
DEVSTACK := $(CARGO_TARGET_DIR)/debug/devstack
SEAWEEDFS := $(HOME)/.cache/grafikarsa/seaweedfs

.PHONY: help deps dev dev-reset binaries test test-seaweedfs bench bench-media bench-chat bench-login bench-polling lint fmt openapi sqlx-prepare \
	up down ps logs build migrate seed create-admin psql backup receive restore health scale cert update check-deploy

help: ## Lists these targets
	@grep -hE '^(# == |[a-z-]+:.*## )' $(MAKEFILE_LIST) | sed -E -e 's/^# == (.*)/\n\1/' -e 's/:[^#]*## /\t/' | expand -t 16

# == Development

deps: ## Installs missing system packages and tools
	@scripts/install-deps.sh

dev: deps ## The whole stack on http://localhost:8080 (DEV_PORT) with demo data, until Ctrl-C
	@cargo build --quiet --workspace --bins
	@exec $(DEVSTACK) dev

dev-reset: ## Forgets the data of `make dev`
	@cargo build --quiet -p grafikarsa-devstack
	@$(DEVSTACK) dev-reset

binaries: deps ## The release binaries
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

bench-polling: deps ## Measures what 2,000 open tabs of the web client cost, with release builds behind nginx
	cargo build --release --workspace --bins
	cargo bench --workspace --bench polling

lint: deps check-deploy ## Format, clippy, freshness of generated files, one TLS provider, the files of deploy
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

# == Running the product on Docker, as .env says (ENV=dev: compose.dev.yaml instead of production)
COMPOSE := scripts/compose.sh
export ENV

up: ## Starts everything and waits until it is healthy; refuses weak secrets; BUILD=no: never builds
	@scripts/up.sh

down: ## Stops everything; the data stays
	@$(COMPOSE) down --remove-orphans

ps: ## What runs, and how it is
	@$(COMPOSE) ps --all

logs: ## Follows the logs; SERVICE=portfolio for one
	@$(COMPOSE) logs --follow --tail=100 $(SERVICE)

build: ## The images of the services; PULL=yes: on newer base images
	@scripts/build.sh

migrate: ## Applies pending migrations
	@for service in $(SERVICES); do $(COMPOSE) run --rm --no-deps migrate-$$service; done

seed: ## Demo data, in development only
	@[ "$(ENV)" = dev ] || { echo "Demo data has no place in production: make seed ENV=dev" >&2; exit 1; }
	@$(COMPOSE) run --rm --no-deps seed

create-admin: ## One more admin: USERNAME=… EMAIL=…, with the password of ADMIN_PASSWORD
	@$(COMPOSE) run --rm --no-deps $(if $(ADMIN_PASSWORD),-e ADMIN_PASSWORD) auth create-admin --username "$(USERNAME)" --email "$(EMAIL)"

psql: ## A prompt of PostgreSQL as superuser
	@$(COMPOSE) exec postgres psql --username=postgres grafikarsa

backup: ## Database and objects into BACKUP_DIR, and to BACKUP_S3_* if that is set
	@scripts/backup.sh

receive: ## BACKUP=name: gets a backup back from BACKUP_S3_*; without BACKUP: which there are
	@scripts/receive.sh "$(BACKUP)"

restore: ## BACKUP=folder of a backup, into a stack without data
	@scripts/restore.sh "$(BACKUP)"

health: ## Every part, one line each; exit code 1 if something is wrong
	@scripts/health-check.sh

scale: ## SERVICE=portfolio N=3: so many replicas, without losing a request
	@scripts/scale.sh "$(SERVICE)" "$(N)"

update: ## Builds (BUILD=no: does not; PULL=yes: on newer images) and replaces what changed: the services without losing a request
	@scripts/update.sh

cert: ## Gets a certificate for DOMAIN from Let's Encrypt
	@scripts/cert.sh letsencrypt

check-deploy: ## Checks the files of deployment against the code, without Docker
	@scripts/check-deploy.sh
