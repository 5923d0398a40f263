# earmark. `make` alone prints the targets and variables below.
#
# Every target does its own set-up: Python 3.11 or newer and make are all it takes.

override MUSIC := $(value MUSIC)
override CATALOGUE := $(value CATALOGUE)
override RECOGNIZER := $(value RECOGNIZER)
OUT := reports/
override OUT := $(value OUT)
ARGS :=
# Through the environment, where no quote, space or dollar sign of a folder's name can end a word.
export MUSIC CATALOGUE RECOGNIZER OUT
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore

VENV := .venv
EARMARK := $(VENV)/bin/earmark
SAMPLE := data/sample
SAMPLE_STATE := data/state
# Which ledger the last `make identify` worked with, so that `make report` finds it.
LAST := data/.last-identify

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help identify demo plan report catalogue serve doctor test test-all soak lint bench bench-engine bench-several clean

help: ## print this list
	@echo 'make identify MUSIC=~/Music    says what every file of that folder is'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  MUSIC       the folder to identify; without it, a small sample that earmark makes itself'
	@echo '  CATALOGUE   a folder of music you know: added to the catalogue first, so that it can be found'
	@echo '  OUT         where the reports go (reports/)'
	@echo '  RECOGNIZER  who is asked, e.g. catalogue or catalogue,audiotag'
	@echo '  ARGS        more options of the earmark command, e.g. ARGS="--coverage full"'
	@echo '  PYTHON      the Python to use for the set-up, when the one found is not the one you want'

# A folder's name as the shell would read it: `~` is the home also where the shell left it alone.
define folders
home() { case "$$1" in '~'|'~/'*) printf '%s' "$$HOME$${1#?}";; *) printf '%s' "$$1";; esac; }; \
MUSIC="$$(home "$$MUSIC"; echo .)"; MUSIC="$${MUSIC%.}"; \
CATALOGUE="$$(home "$$CATALOGUE"; echo .)"; CATALOGUE="$${CATALOGUE%.}"; \
OUT="$$(home "$$OUT"; echo .)"; OUT="$${OUT%.}"; OUT="$${OUT%/}"; \
mkdir -p data
endef

# The sample has a ledger of its own and asks nobody who costs money, whatever key is set. It is heard in full, so that
# the tracks of its mix are listed.
define sample_or_music
if [ -z "$$MUSIC" ]; then \
  $(EARMARK) sample $(SAMPLE) && \
  $(EARMARK) catalogue add --quiet --state $(SAMPLE_STATE) $(SAMPLE)/catalogue || exit $$?; \
  MUSIC=$(SAMPLE)/music; ledger='--state $(SAMPLE_STATE)'; \
  set -- $$ledger --coverage full --recognizer "$${RECOGNIZER:-catalogue}"; \
elif [ -n "$$RECOGNIZER" ]; then ledger=; set -- --recognizer "$$RECOGNIZER"; \
else ledger=; set --; fi
endef

# Exit code 3 says: done, but some files could not be read. The table shows them; the work is done.
done := { code=$$?; [ $$code -eq 3 ] || exit $$code; }

# The messages speak of `earmark`, which nobody has on the PATH after make alone, and of a ledger that may be the sample's.
here = [ "$$(command -v earmark)" = "$(abspath $(EARMARK))" ] \
  || echo "make    earmark is $(EARMARK) here$${ledger:+, and its option for the sample is $$ledger};" \
          "earmark catalogue add DIR is CATALOGUE=DIR" >&2

define add_catalogue
if [ -n "$$CATALOGUE" ]; then $(EARMARK) catalogue add $(1) -- "$$CATALOGUE" || $(done); fi
endef

identify: $(VENV)/.users ## say what every file of MUSIC is, and write the reports to OUT
	@$(folders); $(sample_or_music); \
	echo "$$ledger" > $(LAST); \
	$(call add_catalogue,$$ledger); \
	$(EARMARK) identify "$$@" --out "$$OUT/earmark.csv" --out "$$OUT/earmark.parquet" \
	  --out "$$OUT/earmark.xlsx" --out "$$OUT/earmark.jsonl" $(ARGS) -- "$$MUSIC"; code=$$?; \
	$(here); [ $$code -eq 3 ] || exit $$code

demo: $(VENV)/.users ## the sample from the start, and the evidence behind one of its answers
	@rm -rf $(SAMPLE_STATE)
	@$(MAKE) --no-print-directory MUSIC= identify
	@echo
	@$(EARMARK) explain --state $(SAMPLE_STATE) "$(SAMPLE)/music/dj set.mp3"

plan: $(VENV)/.users ## what identify would send and cost at most; sends nothing
	@$(folders); $(sample_or_music); $(EARMARK) plan "$$@" $(ARGS) -- "$$MUSIC"

report: $(VENV)/.users ## write the reports of the last make identify again, asking nobody
	@$(folders); $(EARMARK) report $$(cat $(LAST) 2>/dev/null) --out "$$OUT/earmark.csv" \
	  --out "$$OUT/earmark.parquet" --out "$$OUT/earmark.xlsx" --out "$$OUT/earmark.jsonl" $(ARGS)

catalogue: $(VENV)/.users ## add the music of CATALOGUE to the catalogue, then list it
	@$(folders); $(call add_catalogue); $(EARMARK) catalogue list $(ARGS)

serve: $(VENV)/.users ## the AudioTag API over your catalogue, on this machine; CATALOGUE is added to it first
	@$(folders); $(call add_catalogue); $(EARMARK) serve $(ARGS)

doctor: $(VENV)/.users ## check ffmpeg, formats, disk, key and catalogue
	@$(EARMARK) doctor $(ARGS)

test: $(VENV)/.tests lint ## lint, and every test that takes seconds
	@$(VENV)/bin/python -m pytest -q -n 4 --dist worksteal -m 'not slow' $(ARGS)

test-all: $(VENV)/.tests ## the tests that take minutes, which make test leaves out
	@$(VENV)/bin/python -m pytest -q -n 4 --dist worksteal -m slow $(ARGS)

soak: $(VENV)/.tests ## kill runs with -9 a thousand times (ARGS="--kills N"), and count what was charged twice
	@$(VENV)/bin/python -m tests.e2e.soak $(ARGS)

lint: $(VENV)/.tests ## ruff, mypy, and the floors that imports must keep to
	@$(VENV)/bin/ruff check --quiet
	@$(VENV)/bin/ruff format --quiet --check
	@$(VENV)/bin/mypy --no-error-summary
	@said=$$($(VENV)/bin/lint-imports 2>&1) || { printf '%s\n' "$$said"; exit 1; }

bench: $(VENV)/.tests ## how fast: decoding, fingerprints, a whole run
	@$(VENV)/bin/python -m bench $(ARGS)

bench-engine: $(VENV)/.tests ## how well: what the engine recognises in the music of MUSIC, degraded in every way
	@$(folders); set --; [ -z "$$MUSIC" ] || set -- "$$MUSIC"; $(VENV)/bin/python -m bench.recognition $(ARGS) "$$@"

bench-several: $(VENV)/.tests ## how well: several tracks of MUSIC in one clip, copies of them, tracklists of long mixes
	@$(folders); set --; [ -z "$$MUSIC" ] || set -- "$$MUSIC"; $(VENV)/bin/python -m bench.several $(ARGS) "$$@"; \
	$(VENV)/bin/python -m bench.tracklist $(ARGS) "$$@"

clean: ## remove what make made here: tools, sample, reports; never your ledger
	rm -rf $(VENV) $(SAMPLE) $(SAMPLE_STATE) $(LAST) reports build dist .pytest_cache .mypy_cache .ruff_cache
	rm -rf .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- set-up

# The `fast` extra is taken where a wheel of it exists; no compiler is ever needed.
$(VENV)/.users: pyproject.toml | $(VENV)/.python
	@echo 'setting up the tools (once, about a minute)' >&2
	@$(VENV)/bin/python -m pip install -q --only-binary=av -e '.[fast,server]' 2>/dev/null \
	  || $(VENV)/bin/python -m pip install -q -e '.[server]'
	@touch $@

$(VENV)/.tests: pyproject.toml | $(VENV)/.python
	@echo 'setting up the tools and the test tools (once, about a minute)' >&2
	@$(VENV)/bin/python -m pip install -q --only-binary=av -e '.[fast,server,dev]' 2>/dev/null \
	  || $(VENV)/bin/python -m pip install -q -e '.[server,dev]'
	@touch $@ $(VENV)/.users

# The first Python that is new enough and can make an environment; a clear word where there is none.
$(VENV)/.python:
	@old=; for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
	  command -v "$$python" >/dev/null 2>&1 || continue; \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then \
	    if "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	      "$$python" -m venv --clear $(VENV) && touch $@ && exit 0; exit 1; \
	    fi; old="$$old $$python (without the venv module)"; \
	  else old="$$old $$python ($$("$$python" -c 'import platform; print(platform.python_version())' 2>&1 | tail -n 1))"; fi; \
	done; \
	echo "error: earmark needs Python 3.11 to 3.14 with the venv module; found:$${old:- no Python at all}" >&2; \
	echo 'hint: on Debian and Ubuntu: sudo apt install python3 python3-venv; elsewhere: https://www.python.org/downloads' >&2; \
	exit 1
