"""Experiments: what is accepted, what is refused and in which words, and that they survive being written down."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mgdhw.block import Baseline
from mgdhw.codes import FAMILIES
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import check_experiment, load_experiment, parse_experiment, to_toml
from mgdhw.experiment.schema import LARGEST_BLOCK, LARGEST_PERIOD, Experiment
from mgdhw.learning.schedule import SCHEDULES
from mgdhw.optimizers import OPTIMIZERS


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        parse_experiment(text, source="exp.toml", overrides=overrides)
    return str(error.value)


def accepted(*overrides: str) -> dict[str, Any]:
    return parse_experiment("", source="exp.toml", overrides=overrides).model_dump(exclude_defaults=True)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeed = 3", "exp.toml: seeed: no such key; did you mean 'seed'?"),
        ("[trainning]", "exp.toml: trainning: no such key; did you mean 'training'?"),
        ("[training]\nprobs = 3", "exp.toml: training.probs: no such key; did you mean 'probes'?"),
        ("[device]\nurl = 'x'", "exp.toml: device.url: no such key; did you mean 'uri'?"),
        ("probes = 3", "exp.toml: probes: no such key; did you mean 'training.probes'?"),
        ("[training]\nfamily = 'walsh'", "exp.toml: training.family: no such key; did you mean 'codes.family'?"),
        ("[codes]\neta = 1", "exp.toml: codes.eta: no such key; did you mean 'optimizer.eta'?"),
        ("[device]\nevery = 3", "exp.toml: device.every: no such key; expected one of uri"),
        ("[device]\nqqq = 3", "exp.toml: device.qqq: no such key; expected one of uri"),
    ],
)
def test_an_unknown_key_is_named_with_file_and_nearest(text: str, message: str) -> None:
    assert refusal(text) == message


def test_every_unknown_key_is_named() -> None:
    assert refusal("seeed = 1\n[codes]\nfamly = 'random'").splitlines() == [
        "exp.toml: codes.famly: no such key; did you mean 'family'?",
        "exp.toml: seeed: no such key; did you mean 'seed'?",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nmode = 'continous'", "did you mean 'continuous'? (got 'continous')"),
        ("[training]\nbaseline = 'none'", "training.baseline: input should be 'held', 'every' or 'antithetic'"),
        ("[codes]\nfamily = 'wlash'", "did you mean 'walsh'? (got 'wlash')"),
        ("[codes]\ngroups = 'layers'", "codes.groups: input should be 'all' or 'layer'; did you mean 'layer'?"),
        ("[optimizer]\nname = 'adamm'", "optimizer.name: expected one of adam, adamw, momentum"),
        ("[schedule]\nname = 'cosin'", "did you mean 'cosine'?"),
        (
            "[run]\nlevel = 'host'",
            "run.level: input should be 'auto', 'host-codes', 'device-codes' or 'learn' (got 'host')",
        ),
        ("[training]\nprobes = 'many'", "training.probes: input should be a valid integer (got 'many')"),
        ("[training]\nprobes = 1.5", "training.probes: input should be a valid integer (got 1.5)"),
        ("[training]\nprobes = 1e30", f"training.probes: input should be less than or equal to {2**63 - 1}"),
        ("[training]\nprobes = inf", "training.probes: input should be a valid integer (got inf)"),
        (
            "[data]\nscale = 'minmx'",
            "data.scale: input should be 'auto', 'minmax', 'standard' or 'none'; did you mean",
        ),
        ("[data]\nscale = 'auto'\nscale_to = [1, 0]", "data: scale_to: expected [low, high], the ends of a range (got"),
        ("[data]\nscale = 'auto'\nscale_to = [1]", "data.scale_to: list should have at least 2 items"),
        ("[data]\nscale_to = [0, 1]", 'data: scale_to: of no use without scale = "auto"'),
        ("[training]\nprobes = 0", "training.probes: input should be greater than or equal to 1 (got 0)"),
        (f"[training]\nprobes = {2**63}", f"training.probes: input should be less than or equal to {2**63 - 1}"),
        ("[run]\nblock = 65537", "run.block: input should be less than or equal to 65536 (got 65537)"),
        ("[codes]\ndelta = 0", "codes.delta: input should be greater than 0"),
        ("[codes]\ndelta = true", "codes.delta: input should be a valid number"),
        ("[codes]\ndensity = 1.5", "codes.density: expected a number from 2^-15 to 1 (got 1.5)"),
        ("[optimizer]\neta = inf", "optimizer.eta: input should be a finite number"),
        ("[schedule]\ntau = nan", "schedule.tau: input should be a finite number"),
        ("seed = -1", "seed: input should be greater than or equal to 0"),
        ("name = 'two words'", "name: expected letters, digits, '.', '_' and '-' only (got 'two words')"),
        ("[data]\nname = 3", "data.name: input should be a valid string"),
        ("optimizer = 'adam'", "optimizer: expected a section, [optimizer], with keys of its own (got 'adam')"),
        ("training = 3", "training: expected a section, [training], with keys of its own (got 3)"),
        ("seed = ", "not valid TOML: "),
        ("[optimizer]\nbetta = 0.3", "adam has no parameter 'betta' (it has: beta1, beta2, epsilon, bias_correction)"),
        ("[optimizer]\nname = 'sgd'\nbeta = 0.3", "sgd has no parameter 'beta' (it has: none)"),
        ("[optimizer]\nbeta1 = 'x'", "optimizer: beta1: expected a finite number, got 'x'"),
        ("[optimizer]\nbeta1 = true", "optimizer: beta1: expected a finite number, got True"),
        ("[optimizer]\nbeta1 = nan", "optimizer: beta1: expected a finite number, got nan"),
        ("[optimizer]\nbias_correction = 1", "optimizer: bias_correction: expected true or false, got 1"),
    ],
)
def test_a_bad_value_is_named_with_file_key_and_what_was_expected(text: str, message: str) -> None:
    said = refusal(text)
    assert said.startswith("exp.toml: ")
    assert message in said


def test_experiments_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Experiment().training.probes = 3  # type: ignore[misc]


def test_any_mapping_will_do() -> None:
    assert check_experiment({"seed": 3}, source="here") == Experiment(seed=3)


# --- changes from the command line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("optimizer.eta=0.1", {"optimizer": {"eta": 0.1}}),
        ("optimizer.eta = 1", {"optimizer": {"eta": 1.0}}),
        ("optimizer.beta1=0.5", {"optimizer": {"beta1": 0.5}}),
        ("optimizer.bias_correction=false", {"optimizer": {"bias_correction": False}}),
        ("optimizer={name='sgd', eta=2.0}", {"optimizer": {"name": "sgd", "eta": 2.0}}),
        ("training.probes=1_000", {"training": {"probes": 1000}}),
        ("codes.family=walsh", {"codes": {"family": "walsh"}}),
        ("codes.family='walsh'", {"codes": {"family": "walsh"}}),
        (
            "device.uri=sim:analog-8bit?layers=2-3-1&cost=xent",
            {"device": {"uri": "sim:analog-8bit?layers=2-3-1&cost=xent"}},
        ),
        ("data.name=idx:~/data", {"data": {"name": "idx:~/data"}}),
        ("data.test_fraction=0.3", {"data": {"test_fraction": 0.3}}),
        ("seed=7", {"seed": 7}),
    ],
)
def test_set_takes_numbers_words_and_tables(override: str, changed: dict[str, Any]) -> None:
    assert accepted(override) == changed


def test_set_changes_what_the_file_says_and_the_last_one_counts() -> None:
    text = "seed = 1\n[training]\nprobes = 5\nbatch = 2"
    experiment = parse_experiment(text, source="x", overrides=["training.probes=6", "seed=2", "seed=3"])
    assert (experiment.seed, experiment.training.probes, experiment.training.batch) == (3, 6, 2)


@pytest.mark.parametrize("override", ["optimizer.eta", "=3", "", ".x=3", "a..b=3", "optimizer.=3"])
def test_a_malformed_set_says_how_it_should_look(override: str) -> None:
    assert refusal("", override) == f"change {override!r}: expected KEY=VALUE, for example optimizer.eta=0.1"


def test_an_error_is_blamed_on_whoever_made_it() -> None:
    """The file is not to blame for a change, nor the change for the file."""
    assert refusal("seed = 1", "seed=-1").startswith("change 'seed=-1': seed: ")
    assert refusal("seed = -1", "name=x").startswith("exp.toml: seed: ")
    assert refusal("", "optimizer={name='sgd', eta=-1}").startswith(
        "change \"optimizer={name='sgd', eta=-1}\": optimizer."
    )
    assert refusal("[optimizer]\nbeta1 = 2", "optimizer.eta=0.1").startswith("exp.toml: optimizer: beta1: ")
    assert refusal("", "optimizer.beta1=2").startswith("change 'optimizer.beta1=2': optimizer: beta1: ")
    assert refusal("seed = -1", "seed=2", "name=a b").startswith("change 'name=a b': name: ")


def test_a_change_is_one_value() -> None:
    assert refusal("", "seed=1\nname='x'").startswith("change \"seed=1\\nname='x'\": seed: input should be a valid")


def test_data_options_are_values() -> None:
    assert (
        refusal("[data.flips]\na = 1") == "exp.toml: data: 'flips': expected a value, or a list of values, got {'a': 1}"
    )
    assert refusal("[data]\nflips = [[1]]").startswith("exp.toml: data: 'flips': expected a value, or a list of values")
    assert parse_experiment("[data]\nlayers = [1, 2]", source="x").data.options == {"layers": [1, 2]}


def test_a_set_inside_a_value_is_refused() -> None:
    assert refusal("name = 'x'", "name.x=3") == "change 'name.x=3': 'name' is a value, not a section"


def test_a_misspelt_set_is_refused_like_a_misspelt_key() -> None:
    assert "did you mean 'eta'?" in refusal("", "optimizer.etta=1")
    assert "adam has no parameter 'etta'" in refusal("", "optimizer.etta=1")
    assert "did you mean 'training'?" in refusal("", "traning.probes=1")


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "θ.toml"
    path.write_text("seed = 5 # θ", encoding="utf-8")
    assert load_experiment(path) == load_experiment(str(path)) == Experiment(seed=5)
    assert load_experiment(path, ["seed=6"]).seed == 6


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_editors_that_mark_their_files(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "windows.toml"
    mark = "\ufeff" if encoding == "utf-16-be" else ""  # the others write one by themselves
    path.write_bytes(f"{mark}# θ\r\nseed = 5\r\n[training]\r\nprobes = 7\r\n".encode(encoding))
    assert load_experiment(path) == check_experiment({"seed": 5, "training": {"probes": 7}}, source="")


@pytest.mark.parametrize("values", [{"device": {"uri": "sim:caf\udce9.toml"}}, {"data": {"name": "npz:caf\udce9.npz"}}])
def test_a_path_that_is_no_text_cannot_be_kept(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"\\udce9 in this path is no UTF-8, .* rename that file or folder"):
        to_toml(check_experiment(values, source=""))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file; `mgdhw new "),
        (lambda path: path.mkdir(), "is a folder, not an experiment file"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not a text file; expected TOML in UTF-8"),
        (lambda path: path.write_text("seed = = 3"), "not valid TOML: Invalid value (at line 1, column 8)"),
        (lambda path: path.write_text("seed = 3\nsed = 4"), "sed: no such key; did you mean 'seed'?"),
    ],
)
def test_a_file_that_is_no_experiment_is_named(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "exp.toml"
    make(path)
    with pytest.raises(ConfigError) as error:
        load_experiment(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"exp\.toml: cannot be read: Not a directory"):
        load_experiment(tmp_path / "file" / "exp.toml")


def test_whole_numbers_may_be_written_with_an_exponent() -> None:
    text = "seed = 1e3\n[training]\nprobes = 1e5\ntau_theta = 1_000.0\n[evaluation]\nevery = 2e4\n[run]\nblock = 1e2"
    experiment = parse_experiment(text, source="x", overrides=["training.batch=1e1"])
    assert (experiment.seed, experiment.training.probes, experiment.training.tau_theta) == (1000, 100_000, 1000)
    assert (experiment.training.batch, experiment.evaluation.every, experiment.run.block) == (10, 20_000, 100)
    assert type(experiment.training.probes) is int
    plain = parse_experiment("[training]\nprobes = 100_000", source="x")
    assert parse_experiment("[training]\nprobes = 1e5", source="x").decisive() == plain.decisive()


@pytest.mark.parametrize("path", [r"npz:C:\Users\me\ok.npz", r"npz:D:\my data\ok.npz", r"idx:C:\x"])
def test_a_backslash_in_double_quotes_is_explained(path: str) -> None:
    said = refusal(f'[data]\nname = "{path}"')
    assert "not valid TOML" in said
    assert "a backslash in double quotes begins an escape: put a path in single quotes, or write / for \\" in said
    assert parse_experiment(f"[data]\nname = '{path}'", source="x").data.name == path
    assert "single quotes" not in refusal("seed = ")


# --- written down and read back ---------------------------------------------------------------------------------------

NUMBERS = st.floats(min_value=1e-300, max_value=1e300)
SHARES = st.floats(min_value=2**-15, max_value=1.0)
BELOW_ONE = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)
COUNTS = st.integers(min_value=1, max_value=2**63 - 1)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=20)


def rising(ends: tuple[float, float]) -> list[float]:
    return [-ends[0], ends[1]]


def sections() -> st.SearchStrategy[dict[str, Any]]:
    """Sections with any of their keys set to anything allowed."""

    def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({}, optional=keys)

    optimizers = {
        "sgd": some(eta=NUMBERS),
        "momentum": some(eta=NUMBERS, beta=BELOW_ONE),
        "adamw": some(beta1=BELOW_ONE, epsilon=NUMBERS, bias_correction=st.booleans(), weight_decay=NUMBERS),
    }
    options = some(seed=COUNTS, flips=st.lists(COUNTS), header=st.booleans(), target=WORDS, share=NUMBERS)
    return some(
        name=st.from_regex(r"[A-Za-z0-9_.-]+", fullmatch=True),
        seed=st.integers(0, 2**63 - 1),
        device=some(uri=WORDS),
        data=st.one_of(
            some(name=WORDS, scale=st.sampled_from(["auto", "minmax", "standard", "none"]), scale_to=st.none()),
            st.fixed_dictionaries({"scale": st.just("minmax"), "scale_to": st.tuples(BELOW_ONE, NUMBERS).map(rising)}),
        ).flatmap(lambda keys: options.map(lambda more: keys | more)),
        training=some(
            probes=COUNTS,
            tau_theta=st.integers(min_value=1, max_value=LARGEST_PERIOD),
            mode=st.sampled_from(["discrete", "continuous"]),
            baseline=st.sampled_from(["held", "every", "antithetic"]),
            tau_hp=NUMBERS,
            init_scale=st.sampled_from([0, 0.0, 1, 1e22, 5e-324]),
        ),
        codes=some(family=st.sampled_from(sorted(FAMILIES)), delta=NUMBERS, density=SHARES),
        optimizer=st.sampled_from(sorted(optimizers)).flatmap(
            lambda name: optimizers[name].map(lambda keys: {"name": name, **keys})
        ),
        schedule=some(name=st.sampled_from(sorted(SCHEDULES)), every=st.floats(0.001, 1), tau=NUMBERS),
        readings=some(
            repeat=st.integers(1, 9),
            outliers=st.sampled_from(["off", "repeat", "clip"]),
            outlier_limit=NUMBERS,
            settling=SHARES,
            average=st.integers(1, 9),
        ),
        evaluation=some(every=COUNTS, stop_at_accuracy=SHARES, stop_at_cost=NUMBERS),
        run=some(
            level=st.sampled_from(["auto", "host-codes"]),
            block=st.integers(1, LARGEST_BLOCK),
            retries=st.integers(0, 9),
        ),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(values=sections())
def test_an_experiment_survives_being_written_down(values: dict[str, Any]) -> None:
    experiment = check_experiment(values, source="here")
    assert parse_experiment(to_toml(experiment), source="there") == experiment


def test_what_is_written_down_has_every_default_filled_in() -> None:
    text = to_toml(Experiment())
    assert 'uri = "sim:analog-8bit"' in text
    assert "tau_theta = 100" in text
    for section in ("device", "data", "training", "codes", "optimizer", "schedule", "readings", "evaluation", "run"):
        assert f"\n[{section}]\n" in text


# --- what follows from an experiment ----------------------------------------------------------------------------------


def test_what_decides_the_trajectory_leaves_out_how_the_work_is_done() -> None:
    base = Experiment().decisive()
    same_anyway = ("readings.repeat=1", "readings.settling=0.1", "readings.outlier_limit=9")
    for same in ("run.block=7", "run.level=host-codes", "run.retries=0", "evaluation.every=5", "name=x", *same_anyway):
        assert parse_experiment("", source="x", overrides=[same]).decisive() == base
    for other in ("seed=1", "training.probes=7", "codes.family=walsh", "optimizer.beta1=0.5", "schedule.name=cosine"):
        assert parse_experiment("", source="x", overrides=[other]).decisive() != base
    for other in ("readings.outliers=clip", "readings.average=2"):
        assert parse_experiment("", source="x", overrides=[other]).decisive() != base


def test_continuous_mode_begins_no_digest_of_before_its_division() -> None:
    """A checkpoint is known by what its digest begins with: those of undivided training are not gone on with."""
    continuous = parse_experiment("", source="x", overrides=["training.mode=continuous"]).decisive()["training"]
    assert continuous["divided_by"] == "gain"
    assert "divided_by" not in Experiment().decisive()["training"]


@pytest.mark.parametrize(
    ("overrides", "every"),
    [
        ([], 20_000),
        (["training.probes=1000"], 100),
        (["training.probes=5000"], 200),
        (["training.probes=10", "training.tau_theta=3"], 3),
        (["training.mode=continuous", "training.probes=400"], 20),
        (["evaluation.every=7"], 7),
    ],
)
def test_evaluations_are_twenty_to_a_run_in_whole_updates(overrides: list[str], every: int) -> None:
    assert parse_experiment("", source="x", overrides=overrides).evaluate_every() == every


def test_continuous_mode_updates_on_its_own_clock_and_takes_no_baseline() -> None:
    overrides = ["training.mode=continuous", "training.update_every=3", "training.tau_theta=50"]
    training = parse_experiment("", source="x", overrides=overrides).training
    assert training.update_period == 3
    assert training.block_baseline is Baseline.NONE
    training = parse_experiment("", source="x", overrides=["training.baseline=every"]).training
    assert training.update_period == 100
    assert training.block_baseline is Baseline.EVERY


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_built_with_its_parameters(name: str) -> None:
    built = parse_experiment("", source="x", overrides=[f"optimizer.name={name}"]).optimizer.build()
    assert type(built) is OPTIMIZERS[name]
    if name == "adam":
        section = parse_experiment("", source="x", overrides=["optimizer.beta1=0.25"]).optimizer
        assert section.build() == OPTIMIZERS[name](beta1=0.25)  # type: ignore[call-arg]


def test_whatever_else_stands_beside_a_dataset_is_an_option_of_it() -> None:
    data = parse_experiment("[data]\nname = 'nist7x7'\nflips = 3\nseed = 4", source="x").data
    assert (data.name, data.options) == ("nist7x7", {"flips": 3, "seed": 4})
    assert Experiment().data.options == {}


def test_a_schedule_is_built_with_its_parameters() -> None:
    section = parse_experiment("[schedule]\nname = 'step'\ndrop = 0.5", source="x").schedule
    assert (section.build().name, section.build().drop) == ("step", 0.5)
