"""Settings come from flag, environment, file, default, in that order, and a mistake is one clear line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pipeline.batch.options import Options
from pipeline.config import Settings, default_state_folder, is_loopback, known_keys, load
from pipeline.errors import UsageError

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a config file and make it the one in use."""

    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        monkeypatch.setenv("EARMARK_CONFIG", str(path))
        return path

    return write


def mistake(flags: dict[str, object] | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load(flags)
    assert "\n" not in caught.value.message
    return caught.value


# ---- the order


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(config, monkeypatch):
    assert load().jobs == 8
    config("jobs = 2")
    assert load().jobs == 2
    monkeypatch.setenv("EARMARK_JOBS", "3")
    assert load().jobs == 3
    assert load({"jobs": "4"}).jobs == 4


def test_a_nested_key_of_the_file_survives_another_one_from_the_environment(config, monkeypatch):
    config('[audiotag]\nurl = "https://one.example/api"\nrate_per_s = 2')
    monkeypatch.setenv("EARMARK_AUDIOTAG__RATE_PER_S", "5")
    settings = load()
    assert settings.audiotag.url == "https://one.example/api"
    assert settings.audiotag.rate_per_s == 5


def test_the_file_in_the_users_config_folder_is_found_by_itself(clean_environment):
    folder = clean_environment / ".config" / "earmark"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("probes = 5")
    assert load().probes == 5


def test_config_on_the_command_line_beats_the_variable(config, tmp_path):
    config("probes = 5")
    other = tmp_path / "other.toml"
    other.write_text("probes = 7")
    assert load(config=other).probes == 7


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("EARMARK_JOBS", "")
    monkeypatch.setenv("AUDIOTAG_API_KEY", "")
    settings = load()
    assert settings.jobs == 8
    assert settings.audiotag.api_key is None


def test_lists_are_written_between_commas_or_as_toml_lists(config, monkeypatch):
    config('include = ["*.mp3", "live/**"]\nrecognizer = "catalogue"')
    assert load().include == ("*.mp3", "live/**")
    monkeypatch.setenv("EARMARK_RECOGNIZER", "audiotag, catalogue,audiotag")
    assert load().recognizer == ("audiotag", "catalogue")


# ---- keys and addresses


def test_the_key_comes_from_its_old_name_and_loses_a_trailing_newline(monkeypatch):
    monkeypatch.setenv("AUDIOTAG_API_KEY", "abc123\n")
    key = load().audiotag.api_key
    assert key is not None
    assert key.get_secret_value() == "abc123"


def test_the_key_comes_from_a_file(config, tmp_path):
    (tmp_path / "key").write_text("fromfile\n")
    config(f'[audiotag]\napi_key_file = "{tmp_path / "key"}"')
    key = load().audiotag.api_key
    assert key is not None
    assert key.get_secret_value() == "fromfile"


def test_a_key_in_the_environment_beats_a_key_file_in_the_config(config, tmp_path, monkeypatch):
    (tmp_path / "key").write_text("fromfile")
    config(f'[audiotag]\napi_key_file = "{tmp_path / "key"}"')
    monkeypatch.setenv("AUDIOTAG_API_KEY", "fromenvironment")
    key = load().audiotag.api_key
    assert key is not None
    assert key.get_secret_value() == "fromenvironment"


def test_a_password_that_is_too_short_is_not_printed(config):
    config('[server]\npage_password = "tiny"')
    said = mistake()
    assert "server.page_password" in said.message
    assert "8 characters or more" in said.hint
    assert "tiny" not in str(said)


def test_a_key_and_a_key_file_in_one_place_are_a_contradiction(config):
    config('[audiotag]\napi_key = "a"\napi_key_file = "b"')
    assert "both given" in mistake().message


def test_a_missing_key_file_is_named(config, tmp_path):
    config(f'[audiotag]\napi_key_file = "{tmp_path / "nowhere"}"')
    error = mistake()
    assert str(tmp_path / "nowhere") in error.message
    assert "No such file" in error.message


def test_a_key_is_never_shown_not_even_in_an_error(monkeypatch):
    monkeypatch.setenv("AUDIOTAG_API_KEY", "se cret")
    error = mistake()
    assert error.message.startswith("AUDIOTAG_API_KEY: ")
    assert "cret" not in str(error)
    assert error.__cause__ is None
    monkeypatch.setenv("AUDIOTAG_API_KEY", "verysecret")
    assert "verysecret" not in repr(load())


def test_another_service_may_have_a_key_of_its_own(config, monkeypatch):
    config('[keys]\n"https://own.example/api" = "ours"')
    monkeypatch.setenv("AUDIOTAG_API_KEY", "theirs")
    settings = load()
    own, other = settings.key_for("https://own.example/api"), settings.key_for("https://audiotag.info/api")
    assert own is not None
    assert other is not None
    assert (own.get_secret_value(), other.get_secret_value()) == ("ours", "theirs")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://far.example/api", "unencrypted"),
        ("ftp://far.example/api", "not an https address"),
        ("audiotag.info/api", "not an https address"),
        ("https://user:pass@far.example/api", "more than host and path"),
        ("https://far.example/api?apikey=abc", "more than host and path"),
        ("https://far.example:port/api", "not an address"),
    ],
)
def test_an_unsafe_address_is_refused(url, complaint, monkeypatch):
    monkeypatch.setenv("AUDIOTAG_URL", url)
    error = mistake()
    assert complaint in error.message
    assert "pass" not in error.message


@pytest.mark.parametrize("url", ["http://localhost:8080/api", "http://127.0.0.9/api", "http://[::1]:80/api"])
def test_http_is_fine_on_this_machine_itself(url):
    assert is_loopback(url)
    assert load({"recognizer": url}).recognizer == (url,)


def test_a_name_that_only_begins_like_loopback_is_not_loopback():
    assert not is_loopback("http://127.0.0.1.far.example/api")
    assert not is_loopback("http://localhost.far.example/api")


def test_insecure_accepts_http_elsewhere():
    assert load({"recognizer": "http://far.example/api", "insecure": True}).recognizer


# ---- mistakes


def test_an_unknown_key_in_the_file_gets_a_suggestion(config):
    path = config("max_credit = 5")
    error = mistake()
    assert error.message == f"max_credit in {path}: unknown key"
    assert error.hint == "did you mean max_credits?"


def test_an_unknown_nested_key_gets_a_suggestion(config):
    config("[audiotag]\nrate_per_sec = 5")
    assert mistake().hint == "did you mean audiotag.rate_per_s?"


def test_an_unknown_variable_gets_a_suggestion(monkeypatch):
    monkeypatch.setenv("EARMARK_MAXCREDITS", "5")
    error = mistake()
    assert error.message == "unknown environment variable EARMARK_MAXCREDITS"
    assert error.hint == "did you mean EARMARK_MAX_CREDITS?"


@pytest.mark.parametrize("variable", ["EARMARK_STATE", "EARMARK_CONFIG"])
def test_every_documented_variable_is_known(variable, tmp_path, monkeypatch):
    (tmp_path / "some.toml").write_text("")
    monkeypatch.setenv(variable, str(tmp_path / "some.toml"))
    load()


def test_an_unknown_recognizer_gets_a_suggestion():
    error = mistake({"recognizer": "catalog"})
    assert error.message == "--recognizer: catalog is no recognizer"
    assert error.hint == "did you mean catalogue?"


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        ({"segment": "40"}, "--segment: '40' is not allowed", "give seconds from 15 to 30"),
        ({"segment": "5"}, "--segment: '5' is not allowed", "give seconds from 15 to 30"),
        ({"segment": "nan"}, "--segment: 'nan' is not allowed", "give seconds from 15 to 30"),
        ({"coverage": "some"}, "--coverage: 'some' is not allowed", "give probe or full"),
        ({"max_credits": "-1"}, "--max-credits: '-1' is not allowed", "give seconds of audio, 0 or more"),
        ({"jobs": "many"}, "--jobs: 'many' is not allowed", "give a whole number from 1 to 64"),
    ],
)
def test_a_value_out_of_range_is_told_what_is_allowed(flags, message, hint):
    error = mistake(flags)
    assert (error.message, error.hint) == (message, hint)


def test_the_culprit_is_named_where_the_user_wrote_it(config, monkeypatch):
    path = config("jobs = 0")
    assert mistake().message == f"jobs in {path}: 0 is not allowed"
    monkeypatch.setenv("EARMARK_JOBS", "0")
    assert mistake().message == "EARMARK_JOBS: '0' is not allowed"


@pytest.mark.parametrize(
    ("text", "complaint"), [("jobs 4", "is not TOML"), ("jobs = \xff", "cannot be read: it is not UTF-8")]
)
def test_a_broken_config_file_is_named(text, complaint, tmp_path):
    path = tmp_path / "broken.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=complaint):
        load(config=path)


def test_a_missing_config_file_is_an_error_only_when_it_was_asked_for(tmp_path):
    load()
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load(config=tmp_path / "nowhere.toml")


# ---- the state folder


def test_the_state_folder_is_the_platforms(clean_environment):
    assert default_state_folder() == clean_environment / ".local" / "state" / "earmark"


def test_without_a_usable_home_the_state_outlives_a_restart_in_var_tmp(monkeypatch, tmp_path):
    a_file = tmp_path / "not-a-folder"
    a_file.write_text("")
    for home in ("", str(a_file)):
        monkeypatch.setenv("HOME", home)
        folder = default_state_folder()
        assert str(folder).startswith("/var/tmp/earmark-")
        assert folder.stat().st_mode & 0o077 == 0


# ---- the annotated file


def test_the_annotated_file_holds_every_key_with_the_default_of_the_code():
    text = (CONFIGS / "default.toml").read_text()
    written = flat(tomllib.loads(text))
    examples = flat(tomllib.loads(re.sub(r"^#(?=[a-z_]+ = )", "", text, flags=re.MULTILINE)))
    code = flat(Settings().model_dump(mode="python"))
    code = {key: list(value) if isinstance(value, tuple) else value for key, value in code.items()}
    assert set(examples) == set(known_keys()) - {"keys"}
    assert written == {key: value for key, value in code.items() if value is not None}


def test_the_examples_in_the_annotated_file_are_allowed(tmp_path):
    text = re.sub(r"^#(?=[a-z_]+ = |\")", "", (CONFIGS / "default.toml").read_text(), flags=re.MULTILINE)
    path = tmp_path / "all.toml"
    path.write_text(re.sub(r"^api_key_file.*$", "", text, flags=re.MULTILINE))
    settings = load(config=path)
    assert settings.max_credits == 3600
    assert settings.key_for("https://music.example.org/api") is not None


@pytest.mark.parametrize("name", ["default", "nightly", "mixes", "server"])
def test_the_example_files_are_allowed(name):
    load(config=CONFIGS / f"{name}.toml")


def test_the_example_with_a_budget_is_allowed(clean_environment):
    key = clean_environment / ".config" / "earmark" / "audiotag.key"
    key.parent.mkdir(parents=True)
    key.write_text("abc")
    assert load(config=CONFIGS / "paid-with-budget.toml").max_credits == 3600


def test_the_defaults_of_settings_and_of_a_run_are_the_same():
    settings, run = Settings(), Options()
    assert (settings.coverage, settings.segment, settings.probes) == (run.coverage, run.segment_s, run.probes)
    assert (settings.mix_after, settings.mix_every) == (run.mix_after_s, run.mix_every_s)
    assert (settings.max_credits, settings.max_files) == (run.max_credits, run.max_files)
    assert (settings.budget.per_day, settings.budget.per_month) == (
        run.credits_per_day,
        run.credits_per_month,
    )
    assert settings.reuse == run.reuse
    assert (settings.jobs, settings.audio.workers) == (run.jobs, run.workers)


def flat(table: dict[str, object], prefix: str = "") -> dict[str, object]:
    """A nested table with dotted keys; an empty table vanishes."""
    result: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value
    return result
