"""The commands of pipelines and steps: options, inputs, messages, exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import toy_pipeline as toy

from jwgpu.cli import inputs
from jwgpu.errors import InputError
from jwgpu.references import crds_source
from jwgpu.steps import registry


def parameters_of_last_run() -> dict:
    return toy.ToyPipeline.seen[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["--steps.toy.threshold=5"],
        ["--steps.toy.threshold", "5"],
        ["-q", "--steps.toy.threshold=5"],
    ],
)
def test_a_parameter_reaches_its_step(jwgpu, exposure, words):
    assert jwgpu("toy1", exposure("a_uncal.fits"), *words).status == 0
    assert parameters_of_last_run()["steps"]["toy"]["threshold"] == 5.0
    assert parameters_of_last_run()["steps"]["other"]["threshold"] == 4.0


@pytest.mark.parametrize("name", ["save_calibrated_ramp", "save-calibrated-ramp"])
def test_dash_and_underscore_are_alike(jwgpu, exposure, name):
    assert jwgpu("toy1", exposure("a_uncal.fits"), f"--{name}=true").status == 0
    assert parameters_of_last_run()["save_calibrated_ramp"] is True


def test_a_switch_alone_means_true(jwgpu, exposure):
    assert jwgpu("toy1", exposure("a_uncal.fits"), "--steps.other.skip").status == 0
    assert parameters_of_last_run()["steps"]["other"]["skip"] is True


def test_settings_of_the_run_are_parameters(jwgpu, exposure):
    words = ["--device", "cpu", "--references", "refs", "--threads=3", "--offline"]
    assert jwgpu("toy1", exposure("a_uncal.fits"), *words).status == 0
    seen = parameters_of_last_run()
    chosen = {key: seen[key] for key in ("device", "references", "threads", "offline")}
    assert chosen == {"device": "cpu", "references": "refs", "threads": 3, "offline": True}


def test_the_product_is_saved_in_the_output_folder(jwgpu, exposure):
    assert jwgpu("toy1", exposure("a_uncal.fits"), "--output-dir", "deep/er").status == 0
    assert [path.name for path in Path("deep/er").iterdir()] == ["a_uncal_toypipeline.txt"]


@pytest.mark.parametrize("name", ["toy1", "calwebb_toy1", "some.package.ToyPipeline"])
def test_every_name_of_a_pipeline(jwgpu, exposure, name):
    assert jwgpu(name, exposure("a_uncal.fits")).status == 0


# What is wrong, and what the one line must say.
WRONG = {
    "--steps.toy.treshold=5": "did you mean --steps.toy.threshold",
    "--threshold=5": "did you mean --steps.toy.threshold or --steps.other.threshold",
    "--steps.jmp.threshold=5": "has no option --steps.jmp.threshold",
    "--steps.toy.threshold=-1": "too small: give a number, at least 0",
    "--steps.toy.threshold=lots": "wrong type",
    "--steps.toy.number=10": "too big: give a whole number from 1 to 9",
    "--steps.toy.mode=slow": "give one of fast, exact",
    "--save_results=perhaps": "give true or false",
    "--log-level=LOUD": "there is no level 'LOUD'",
    "--log-format=xml": "text",
    "--config-file=none.asdf": "none.asdf: there is no such parameter file",
}


@pytest.mark.parametrize("word", WRONG)
def test_a_wrong_option_is_one_line_and_status_2(jwgpu, exposure, word):
    outcome = jwgpu("toy1", exposure("a_uncal.fits"), word)
    assert outcome.status == 2
    assert outcome.err.startswith("jwgpu: error: ")
    assert outcome.err.count("\n") == 1
    assert WRONG[word] in outcome.err
    assert not toy.ToyPipeline.seen
    assert not list(Path().glob("*.txt"))


def test_an_unknown_command_suggests(jwgpu):
    outcome = jwgpu("toy-i")
    assert outcome.status == 2
    assert outcome.err.startswith("jwgpu: error: there is no command or step 'toy-i': did you mean")
    assert "toy" in outcome.err.rpartition(":")[2]


def test_no_input_is_a_usage_error(jwgpu):
    assert jwgpu("toy1").status == 2


# What the exposure does to the toy, the exit status, and what the line says.
FAILURES = {
    "bad": (1, "a_uncal.fits: not FITS: give an exposure"),
    "empty": (64, "a_uncal.fits: no science data: give another exposure"),
    "bug": (1, "a_uncal.fits: ValueError: something that nobody foresaw: run again with --debug"),
    "exit": (1, "a_uncal.fits: a library ended the run (status -1)"),
    "interrupt": (130, "interrupted"),
}


@pytest.mark.parametrize("text", FAILURES)
def test_a_failure_is_one_line(jwgpu, exposure, text):
    status, message = FAILURES[text]
    outcome = jwgpu("toy1", exposure("a_uncal.fits", text), "-q")
    assert outcome.status == status
    # On an interrupt click ends the line that shows ^C.
    line = outcome.err.removeprefix("\n")
    assert line.startswith(f"jwgpu: error: {message}")
    assert line.count("\n") == 1


def test_debug_shows_the_traceback(jwgpu, exposure):
    outcome = jwgpu("toy1", exposure("a_uncal.fits", "bug"), "--debug", "-q")
    assert outcome.status == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert "something that nobody foresaw" in outcome.err


def test_a_bad_input_does_not_stop_the_others(jwgpu, exposure):
    names = [exposure("a_uncal.fits", "bad"), exposure("b_uncal.fits"), "none_uncal.fits"]
    outcome = jwgpu("toy1", *names, "-q")
    assert outcome.status == 1
    assert Path("b_uncal_toypipeline.txt").exists()
    report = outcome.err.partition("2 of 3 inputs failed:\n")[2].splitlines()
    assert [line.split()[0] for line in report] == ["a_uncal.fits", "none_uncal.fits"]
    assert "there is no such file" in report[1]


@pytest.mark.parametrize(("texts", "status"), [(("empty", "good"), 64), (("empty", "bad"), 1)])
def test_status_64_only_if_nothing_else_failed(jwgpu, exposure, texts, status):
    names = [exposure(f"{number}_uncal.fits", text) for number, text in enumerate(texts)]
    assert jwgpu("toy1", *names).status == status


def test_a_folder_means_its_uncalibrated_exposures(jwgpu, exposure):
    for name in ("in/b_uncal.fits", "in/a_uncal.fits", "in/a_rate.fits"):
        exposure(name)
    assert jwgpu("toy1", "in").status == 0
    assert sorted(path.name for path in Path().glob("*.txt")) == [
        "a_uncal_toypipeline.txt",
        "b_uncal_toypipeline.txt",
    ]


def test_a_folder_means_what_the_command_starts_from(exposure, tmp_path):
    for name in ("b_rate.fits", "a_rate.fits", "a_uncal.fits", "c_ramp.fits", "a_cal.fits"):
        exposure(f"in/{name}")
    found = {
        name: [
            Path(file).name for file in inputs.expand([str(tmp_path / "in")], registry.find(name))
        ]
        for name in ("detector1", "jump", "image2", "resample")
    }
    assert found == {
        "detector1": ["a_uncal.fits"],
        "jump": ["a_uncal.fits"],
        "image2": ["a_rate.fits", "b_rate.fits"],
        "resample": ["a_cal.fits"],
    }
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \*_rate.fits in this folder"):
        inputs.check_exists(str(tmp_path / "empty"), registry.find("image2"))


def test_a_folder_without_exposures_is_said(jwgpu, tmp_path):
    (tmp_path / "nothing").mkdir()
    outcome = jwgpu("toy1", "nothing")
    assert outcome.status == 1
    assert "no *_uncal.fits or *_ramp.fits in this folder" in outcome.err


def test_a_pattern_that_the_shell_left_alone(jwgpu, exposure):
    exposure("a_uncal.fits")
    exposure("b_uncal.fits")
    assert jwgpu("toy1", "*_uncal.fits").status == 0
    assert len(list(Path().glob("*.txt"))) == 2


def test_two_inputs_of_one_name_are_refused(jwgpu, exposure):
    names = [exposure("one/a_uncal.fits"), exposure("two/a_uncal.fits")]
    outcome = jwgpu("toy1", *names)
    assert outcome.status == 2
    assert "would write the same product" in outcome.err


def test_two_inputs_of_one_exposure_are_refused(jwgpu, exposure):
    outcome = jwgpu("toy1", exposure("a_uncal.fits"), exposure("a_ramp.fits"))
    assert outcome.status == 2
    assert "a_uncal.fits and a_ramp.fits would write the same product" in outcome.err
    # its rates by integration have products of their own
    assert jwgpu("toy1", exposure("a_rate.fits"), exposure("a_rateints.fits")).status == 0


def test_one_output_name_for_two_inputs_is_refused(jwgpu, exposure):
    names = [exposure("a_uncal.fits"), exposure("b_uncal.fits")]
    assert jwgpu("toy1", *names, "--output-file", "out.txt").status == 2


def test_input_dir(jwgpu, exposure):
    exposure("in/a_uncal.fits")
    assert jwgpu("toy1", "a_uncal.fits", "--input_dir=in").status == 0


CRDS_NOT_ASKED = (
    ["--references", "refs"],
    ["--offline"],
    ["--disable-crds-steppars"],
    ["--disable_crds_steppars"],
)


@pytest.mark.parametrize("words", CRDS_NOT_ASKED)
def test_crds_is_not_asked_for_parameters(jwgpu, exposure, words):
    assert jwgpu("toy1", exposure("a_uncal.fits"), *words).status == 0
    assert len(toy.ToyPipeline.seen) == 1


def test_crds_is_asked_for_parameters_otherwise(jwgpu, exposure):
    jwgpu("toy1", exposure("a_uncal.fits"))
    assert toy.ToyPipeline.seen[0] == {"asked_crds": "a_uncal.fits"}


def test_the_command_line_overrides_a_parameter_reference(jwgpu, exposure, monkeypatch):
    def reference(cls, dataset, **kwargs):
        config = cls._empty_config()
        config["threads"] = 2
        config["steps"]["toy"] = {"threshold": 9.0, "number": 3}
        return config

    monkeypatch.setattr(toy.ToyPipeline, "get_config_from_reference", classmethod(reference))
    assert jwgpu("toy1", exposure("a_uncal.fits"), "--steps.toy.threshold=7").status == 0
    seen = parameters_of_last_run()
    assert (seen["threads"], seen["steps"]["toy"]["threshold"]) == (2, 7.0)
    assert seen["steps"]["toy"]["number"] == 3


def test_crds_that_ends_the_process_becomes_an_error(jwgpu, exposure, monkeypatch):
    def ends(cls, dataset, **kwargs):
        raise SystemExit(-1)

    monkeypatch.setattr(toy.ToyPipeline, "get_config_from_reference", classmethod(ends))
    outcome = jwgpu("toy1", exposure("a_uncal.fits"))
    assert outcome.status == 1
    assert "--disable-crds-steppars" in outcome.err


def test_crds_that_does_not_answer_is_said(jwgpu, exposure, monkeypatch):
    monkeypatch.setattr(crds_source, "context_in_use", lambda: None)
    outcome = jwgpu("toy1", exposure("a_uncal.fits"))
    assert outcome.status == 1
    assert "does not answer" in outcome.err
    assert outcome.err.count("\n") == 1
    assert not toy.ToyPipeline.seen


def test_parameters_saved_and_read_again(jwgpu, exposure):
    assert jwgpu("toy1", "--save-parameters", "p/pars.asdf", "--steps.toy.threshold=6").status == 0
    name = exposure("a_uncal.fits")
    for words in (["toy1", "-c", "p/pars.asdf", name], ["p/pars.asdf", name]):
        assert jwgpu(*words, "--steps.toy.number=2").status == 0
        toy_parameters = parameters_of_last_run()["steps"]["toy"]
        assert (toy_parameters["threshold"], toy_parameters["number"]) == (6.0, 2)


def test_a_configobj_file(jwgpu, exposure):
    Path("pars.cfg").write_text(
        'name = "toy1"\nclass = "official.package.ToyPipeline"\n[steps]\n[[toy]]\nthreshold = 3\n'
    )
    assert jwgpu("pars.cfg", exposure("a_uncal.fits")).status == 0
    assert parameters_of_last_run()["steps"]["toy"]["threshold"] == 3.0


# Contents of a parameter file, and what is wrong with it.
WRONG_FILES = {
    'class = "toy"\n': "these are parameters for toy, not for toy1",
    "[steps]\n[[toy]]\ntreshold = 3\n": "did you mean steps.toy.threshold?",
    "[steps]\n[[toy]]\nthreshold = many\n": "--steps.toy.threshold",
    "[[[\n": "not a parameter file",
}


@pytest.mark.parametrize("text", WRONG_FILES)
def test_a_wrong_parameter_file(jwgpu, exposure, text):
    Path("pars.cfg").write_text(text)
    outcome = jwgpu("toy1", "-c", "pars.cfg", exposure("a_uncal.fits"))
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert WRONG_FILES[text] in outcome.err


def test_a_parameter_file_as_command_must_name_its_class(jwgpu):
    Path("pars.cfg").write_text("threads = 3\n")
    outcome = jwgpu("pars.cfg", "a_uncal.fits")
    assert outcome.status == 2
    assert "does not say what it is for" in outcome.err


def test_log_lines_as_text(jwgpu, exposure):
    outcome = jwgpu("toy1", exposure("a_uncal.fits"), "-v")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d DEBUG .*instance created", outcome.err)


def test_what_stpipe_says_is_for_verbose_only(jwgpu, exposure):
    assert jwgpu("toy1", exposure("a_uncal.fits")).err == ""


def test_log_lines_as_json(jwgpu, exposure):
    outcome = jwgpu("toy1", exposure("a_uncal.fits"), "-v", "--log-format=json")
    records = [json.loads(line) for line in outcome.err.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(records[0])
    assert records[0]["level"] == "DEBUG"


def test_log_file_and_stream(jwgpu, exposure):
    words = ["-v", "--log-file", "run.log", "--log-stream", "null"]
    outcome = jwgpu("toy1", exposure("a_uncal.fits"), *words)
    assert outcome.err == outcome.out == ""
    assert "instance created" in Path("run.log").read_text()


def test_log_stream_stdout(jwgpu, exposure):
    outcome = jwgpu("toy1", exposure("a_uncal.fits"), "-v", "--log-stream=stdout")
    assert outcome.err == ""
    assert "instance created" in outcome.out


def test_log_file_that_cannot_be_written(jwgpu, exposure):
    outcome = jwgpu("toy1", exposure("a_uncal.fits"), "--log-file=no/such/run.log")
    assert outcome.status == 2
    assert "run.log" in outcome.err


def test_logcfg_is_accepted(jwgpu, exposure):
    Path("log.cfg").write_text("[*]\nhandler = file:old.log\nlevel = INFO\n")
    assert jwgpu("toy1", exposure("a_uncal.fits"), "--logcfg=log.cfg").status == 0
    assert Path("old.log").exists()


def test_help_lists_parameters_by_step(jwgpu):
    outcome = jwgpu("toy1", "--help")
    assert outcome.status == 0
    assert "Parameters of toy:" in outcome.out
    assert "--steps.toy.number" in outcome.out
    assert "how many (a whole number from 1 to 9) [1]" in outcome.out
    assert "--steps.toy.override_gain" in outcome.out
    assert "--output-dir DIR" in outcome.out
    assert "Examples:" in outcome.out


def test_help_of_a_step(jwgpu):
    outcome = jwgpu("toy", "--help")
    assert "--threshold" in outcome.out
    assert "--override_gain" in outcome.out
