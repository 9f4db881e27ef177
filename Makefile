# Tidegate's commands. `make help` lists them.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
N      ?= 100
WHEELS ?= build/wheels
TWINS  := $(shell find agent drivers -name '*.pyx')

export PYTHON
# Debian keeps servers out of an ordinary user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

.DEFAULT_GOAL := help
.PHONY: help demo test check build mutations try-unit wheel lock wheels install uninstall campaign-kill campaign-outage campaign-power campaign-disk campaign-clock campaign-copies campaign-broker campaign-modbus campaign-rtu campaign-opcua campaign-all interop-modbus interop-opcua soak bench bench-modbus golden profiles clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 20

demo: $(VENV)/built ## a simulated plant, a broker, the gateway and a proving subscriber; OUTAGE=20 SECONDS=60 BROKER=amqtt
	@if [ "$(BROKER)" = amqtt ] || ! command -v mosquitto >/dev/null; then $(BIN)/pip install -q -e '.[demo]' --no-build-isolation; fi
	@$(BIN)/python -m demo.run $(if $(OUTAGE),--outage $(OUTAGE)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(BROKER),--broker $(BROKER))

test: $(VENV)/tested ## install what the tests need, then run all tests
	$(BIN)/python -m pytest -q

check: $(VENV)/tested ## ruff, mypy and the rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

build: $(VENV)/built ## the environment and the compiled twins

wheel: $(VENV)/tested ## a wheel and an sdist in dist/; TIDEGATE_PURE=1 for a pure wheel
	$(BIN)/python -m build -q --outdir dist .

lock: ## renew requirements.lock: every library of the agent, with hashes
	@systemd/lock $(PYTHON)

wheels: $(VENV)/built ## all that an installation needs, in the folder WHEELS=build/wheels, for boxes without a network
	@systemd/wheels "$(WHEELS)" $(BIN)

install: ## as root: program, user, folders and unit; PREFIX=/opt/tidegate DESTDIR= WHEELS=folder
	@$(if $(filter file,$(origin WHEELS)),$(MAKE) wheels)
	@"$(WHEELS)/install" install

uninstall: ## as root: remove program and unit; PURGE=1 also configuration, buffer and user
	@systemd/install uninstall

campaign-kill: $(VENV)/tested ## kill the gateway N times under load and prove that nothing is lost
	@$(BIN)/python -m tests.campaigns.kill $(N)

campaign-outage: $(VENV)/tested ## take the broker away for a minute, with and without its memory
	@$(BIN)/python -m tests.campaigns.outage

campaign-broker: $(VENV)/tested ## all that brokers and lines do to a publisher: N kills, refusals, poison, dead links; nothing lost
	@$(BIN)/python -m tests.campaigns.broker $(if $(filter command line environment,$(origin N)),$(N),10)

campaign-power: $(VENV)/tested ## record a real buffer's writes and start from N states that a power cut could leave; nothing lost
	@$(BIN)/python -m tests.adversity.power $(if $(filter command line environment,$(origin N)),$(N),1500)

campaign-disk: $(VENV)/tested ## the n-th sync, write and read fails (N=200 numbers), disk full, read-only, flipped bits: nothing false, nothing lost silently
	@$(BIN)/python -m tests.campaigns.storage $(if $(filter command line environment,$(origin N)),$(N),200)

campaign-clock: $(VENV)/tested ## 1970, a kill, late NTP, steps of days and years, never synchronised: every reading gets its right time
	@$(BIN)/python -m tests.campaigns.clock

campaign-copies: $(VENV)/tested ## an image put back, a snapshot rolled back, one image in two boxes: no reading taken for a duplicate
	@$(BIN)/python -m tests.campaigns.copies

campaign-modbus: $(VENV)/tested ## N hostile replies on virtual time, SOCKETS=20000 through sockets: no wrong value taken, others keep their pace
	@$(BIN)/python -m tests.campaigns.modbus $(if $(filter command line environment,$(origin N)),$(N),10000000) $(if $(SOCKETS),--sockets $(SOCKETS))

campaign-rtu: $(VENV)/tested ## N hostile replies in RTU and ASCII on virtual time, PORTS=20000 through pty pairs, no wrong value taken; 32 units with 3 dead and 1 babbling: the others keep 95 % of their rate
	@$(BIN)/python -m tests.campaigns.rtu $(if $(filter command line environment,$(origin N)),$(N),600000) $(if $(PORTS),--ports $(PORTS))
	@$(BIN)/python -m tests.campaigns.line

campaign-opcua: $(VENV)/tested ## kill the gateway N times while 1,000 OPC UA nodes change at 10 Hz, and all that happens to a server: nothing missing, or a gap
	@$(BIN)/python -m tests.campaigns.opcua $(if $(filter command line environment,$(origin N)),$(N),50)

campaign-all: $(VENV)/tested ## every campaign at CI size, in at most 20 minutes, with one table at the end; ONLY="kill clock"
	@$(BIN)/python -m tests.campaigns.whole $(ONLY)

interop-modbus: $(VENV)/tested ## Modbus peers that others have written, over every transport that each has
	@$(BIN)/python -m tests.campaigns.interop

interop-opcua: $(VENV)/tested ## OPC UA servers that others have written: types, browsing, events, structures, policies, history
	@$(BIN)/python -m tests.campaigns.interop_opcua

soak: $(VENV)/tested ## a day in fast-forward (HOURS=24), then the whole gateway with faults for SECONDS=600: nothing grows, nothing is lost
	@$(BIN)/python -m tests.campaigns.day $(HOURS)
	@$(BIN)/python -m tests.campaigns.soak $(SECONDS)

try-unit: $(VENV)/tested ## as root: the service under a systemd of its own as PID 1: install, start, reload, kill, hang, stop, uninstall
	@$(BIN)/python -m tests.systemd.try_unit

mutations: $(VENV)/tested ## break the product on purpose, one promise at a time, and see its test turn red; ONE="number or words"
	@$(BIN)/python -m tests.campaigns.mutations $(if $(ONE),"$(ONE)")

bench-modbus: $(VENV)/tested ## what reading Modbus costs: stages, flood and pace beside a lean probe, a slow device beside pymodbus
	@$(BIN)/python -m tests.bench --only stages flood latency paced

bench: $(VENV)/tested ## the whole chain and its stages against the usual way, as ratios
	@$(BIN)/python -m tests.bench

golden: $(VENV)/tested ## decode every golden file with the independent script
	@$(BIN)/python tests/golden/decode.py tests/golden

profiles: $(VENV)/tested ## read the golden vectors of every device profile through the driver, with both decoders
	@TIDEGATE_PURE=1 $(BIN)/tidegate profile test --all
	@$(BIN)/tidegate profile test --all

clean: ## remove what was built
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find agent drivers -name '*.so' -delete

$(VENV)/made:
	@.ci/needs build
	@echo "Making the environment"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check 'setuptools>=77,<90' wheel 'Cython>=3.3,<3.4'
	@touch $@

$(VENV)/built: $(VENV)/made pyproject.toml setup.py $(TWINS)
	@echo "Installing Tidegate and compiling its twins"
	@$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation -e .
	@touch $@

$(VENV)/tested: $(VENV)/built .ci/needs
	@.ci/needs test
	@$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation -e '.[test,demo,xlsx]'
	@touch $@
