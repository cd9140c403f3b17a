# `make help` lists the verbs.

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2
FUZZTIME     ?= 20s
BENCHTIME    ?= 60s
VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT       ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

LDFLAGS = -X anabranch/internal/app.version=$(VERSION) -X anabranch/internal/app.commit=$(COMMIT)

# The pages that play embed PLAYER, that of stages embeds CLIENT; the tests drive Chromium with what BROWSER marks, and call the API with what SDK does.
PLAYER  = internal/console/assets/vendor/hls.min.js
CLIENT  = internal/console/assets/vendor/stage/index.js
BROWSER = e2e/browser/node_modules/.package-lock.json
SDK     = e2e/sdk/node_modules/.package-lock.json

.PHONY: help
help: ## lists the verbs
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-7s %s\n", $$1, $$2 }'

.PHONY: build
build: $(PLAYER) $(CLIENT) ## builds bin/anabranch
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/anabranch ./cmd/anabranch

.PHONY: demo
demo: ffmpeg build ## shows a moving picture in the browser, a drop, the return, and the merged recording
	bin/anabranch demo --log-level=warn

.PHONY: test
test: ffmpeg $(PLAYER) $(CLIENT) ## vets the code and runs its tests, with the race detector
	@script/ensure gcc
	go vet -race ./...
	go test -race ./internal/... ./cmd/...

.PHONY: e2e
e2e: ffmpeg build $(BROWSER) $(SDK) ## runs the built program under ffmpeg, the AWS CLI and SDKs, and Chromium
	@command -v $${CHROMIUM:-chromium} >/dev/null || script/ensure chromium
	@script/ensure aws gst-play-1.0 nft ip python-webrtc
	ANABRANCH=$(CURDIR)/bin/anabranch go test -race -count=1 -parallel 4 -timeout 30m ./e2e/...

.PHONY: bench
bench: ffmpeg build $(BROWSER) ## measures what streams and viewers cost, and delays, BENCHTIME=60s each
	@command -v $${CHROMIUM:-chromium} >/dev/null || script/ensure chromium
	@script/ensure nginx
	ANABRANCH=$(CURDIR)/bin/anabranch BENCHTIME=$(BENCHTIME) go test -run '^$$' -bench . -benchtime 1x -timeout 1h ./e2e

.PHONY: lint
lint: $(PLAYER) $(CLIENT) ## runs golangci-lint, see .golangci.yml
	go run $(GOLANGCI_LINT) run ./...

.PHONY: fuzz
fuzz: $(PLAYER) $(CLIENT) ## runs every fuzzer, FUZZTIME=20s each
	@set -e; for package in $$(go list ./internal/...); do \
		for fuzzer in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$fuzzer"; \
			go test -run '^$$' -fuzz "^$$fuzzer\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: clean
clean: ## removes what was built; recordings and databases stay
	rm -rf bin web/dist web/node_modules internal/console/assets/vendor internal/console/node_modules e2e/browser/node_modules e2e/sdk/node_modules

.PHONY: ffmpeg
ffmpeg:
	@script/ensure ffmpeg ffprobe

$(PLAYER): internal/console/package.json internal/console/package-lock.json
	@script/ensure npm
	npm ci --prefix internal/console --no-audit --no-fund
	mkdir -p $(@D)
	cp internal/console/node_modules/hls.js/dist/$(@F) $@

web/dist/index.js: web/package.json web/package-lock.json web/tsconfig.json $(wildcard web/src/*.ts)
	@script/ensure npm
	npm ci --prefix web --no-audit --no-fund
	rm -rf $(@D)
	npm run --prefix web build

$(CLIENT): web/dist/index.js
	rm -rf $(@D)
	mkdir -p $(@D)
	cp web/dist/*.js $(@D)

$(BROWSER) $(SDK): e2e/%/node_modules/.package-lock.json: e2e/%/package.json e2e/%/package-lock.json
	@script/ensure npm
	npm ci --prefix e2e/$* --no-audit --no-fund
	@touch $@
