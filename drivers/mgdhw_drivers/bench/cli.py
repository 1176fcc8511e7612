"""`mgdhw bench`: check, try and describe a rack of instruments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgdhw.commands import Command
from mgdhw_drivers.bench.simulate.command import simulate

if TYPE_CHECKING:
    from mgdhw_drivers.bench.dry_run import Line
    from mgdhw_drivers.bench.live_try import Trial
    from mgdhw_drivers.bench.rack import Rack

MOST_LINES = 24
"""Messages of one phase that are shown; of more, the first and the last."""

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Racks of instruments: check, try, and describe them in a file."
)

RackFile = Annotated[Path, typer.Argument(metavar="RACK.toml", help="Rack file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(cls=Command)
def check(
    rack: RackFile,
    everything: Annotated[bool, typer.Option("--all", help="Show every message of long ramps.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a rack file and show exactly what would be sent. Sends nothing.

    Opening, one write of the parameters, one probe, a ramp, and the safe state, instrument by instrument.

    Example: mgdhw bench check rack.toml
    """
    import asyncio
    import json

    from mgdhw.report.console import echo
    from mgdhw_drivers.bench.dry_run import transcript_of
    from mgdhw_drivers.bench.load import load_rack

    found = load_rack(rack)
    lines = asyncio.run(transcript_of(found, rack))
    if as_json:
        messages = [
            {"phase": line.phase, "instrument": line.instrument, "message": line.message, "answered": line.answered}
            for line in lines
        ]
        echo(json.dumps({"rack": _summary(found, rack), "messages": messages}))
        return
    for name, value in _summary(found, rack).items():
        echo(f"{name.replace('_', ' '):<14}{value}")
    _show_lines(lines, None if everything else MOST_LINES)
    echo(f"\n{rack} is complete. Next: mgdhw bench try {rack}")


@app.command("try", cls=Command)
def try_(
    rack: RackFile,
    amplitude: Annotated[int, typer.Option(help="Perturbation of the probe, in steps of a parameter.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Make one probe on real instruments and show the time of each message.

    Parameters move by one step, by ramps where the file says so, and end in the safe state.

    Example: mgdhw bench try rack.toml
    """
    import asyncio
    import json
    from dataclasses import asdict

    from mgdhw.errors import ConfigError
    from mgdhw.report.console import echo
    from mgdhw_drivers.bench.device import open_uri
    from mgdhw_drivers.bench.live_try import try_rack

    if not 1 <= amplitude <= 1000:
        raise ConfigError(f"--amplitude {amplitude}: expected 1 ... 1000 steps")
    trial = asyncio.run(try_rack(open_uri(f"bench:{rack}"), amplitude))
    if as_json:
        echo(json.dumps(asdict(trial)))
        return
    _show_trial(trial)
    echo(f"\nTrain with: mgdhw train EXPERIMENT.toml --device bench:{rack}")


@app.command(cls=Command)
def new(
    rack: Annotated[Path, typer.Argument(metavar="RACK.toml", help="File to write.")] = Path("rack.toml"),
    layers: Annotated[str | None, typer.Option(help="Layers of the network, such as 2-3-1.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="VISA address of the instrument with the parameters; may be repeated."),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of that with the inputs; by default that of the parameters.")
    ] = None,
    output: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Of that which reads the output.")] = None,
    identify: Annotated[bool, typer.Option(help="Ask instruments what they are (*IDN?).")] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a rack file with comments, from instruments that are found or given.

    Asks for what is not given. Nothing but *IDN? is sent.

    Example: mgdhw bench new rack.toml --layers 2-3-1 --parameters TCPIP::192.168.0.20::5025::SOCKET --output …
    """
    import asyncio
    import json
    from dataclasses import replace

    from mgdhw.errors import ConfigError
    from mgdhw.report.console import echo
    from mgdhw_drivers.bench import wizard
    from mgdhw_drivers.bench.load import parse_rack
    from mgdhw_drivers.bench.new_rack import rack_text

    if rack.exists() and not force:
        raise ConfigError(f"{rack}: already exists; choose another name, or overwrite it with --force")
    missing = layers is None or not parameters or output is None
    ask = wizard.asking() if missing else None
    found = wizard.discovered() if ask is not None else {}
    for number, (address, text) in enumerate(found.items(), 1):
        echo(f"{number:>3}  {address}  {text}")
    answers = wizard.gather(ask, found, layers, parameters or [], inputs, output)
    addresses = (*answers.parameters, answers.inputs, answers.output)
    identities = asyncio.run(wizard.identify(addresses)) if identify else {}
    text = rack_text(replace(answers, identities=identities))
    parse_rack(text, str(rack))
    try:
        rack.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{rack}: cannot be written: {error.strerror or error}") from None
    if as_json:
        echo(json.dumps({"rack": str(rack), "identities": identities}))
        return
    for address in dict.fromkeys(addresses):
        echo(f"{address}: {identities.get(address, 'does not answer' if identify else 'not asked')}")
    echo(f"wrote {rack}; adapt what is marked with <-, then: mgdhw bench check {rack}")


app.command(cls=Command)(simulate)


def _summary(rack: Rack, path: Path) -> dict[str, str]:
    """What a rack is, in a few lines."""
    instruments = rack.resources()
    sizes = f"{rack.n_parameters} parameters, {rack.n_inputs} inputs, {rack.n_outputs} outputs"
    blocks = rack.blocks
    measured = "measured by an instrument" if rack.cost.query is not None else "computed from outputs"
    return {
        "rack": rack.name or path.stem,
        "network": f"{sizes}{'' if not rack.network.layers else f' ({rack.network.topology(0)})'}",
        "instruments": ", ".join(f"{name} at {address}" for name, (address, _) in instruments.items()),
        "cost": f"{rack.cost.kind}, {measured}",
        "blocks": "one message after another" if blocks is None else "hardware-timed, and one message after another",
    }


def _show_lines(lines: list[Line], most: int | None) -> None:
    from itertools import groupby

    from mgdhw.report.console import echo

    width = max(len(line.instrument) for line in lines)
    for phase, own in groupby(lines, key=lambda line: line.phase):
        shown = list(own)
        echo(f"\n{phase}:")
        half = None if most is None or len(shown) <= most else most // 2
        for index, line in enumerate(shown):
            if half is not None and half <= index < len(shown) - half:
                if index == half:
                    echo(f"  … {len(shown) - 2 * half:,} more messages (--all shows them)")
                continue
            mark = "?" if line.answered else " "
            echo(f"  {line.instrument:<{width}} {mark} {line.message}")


def _show_trial(trial: Trial) -> None:
    from mgdhw.report.console import echo
    from mgdhw.report.units import quantity

    for name, identity in trial.identities.items():
        echo(f"{name}: {identity}")
    width = max(len(one.instrument) for phase in trial.phases for one in phase.sent)
    for phase in trial.phases:
        overlap = ""
        if phase.instruments > 1:
            ratio = phase.instrument_seconds / phase.seconds if phase.seconds else 0.0
            overlap = f"; {phase.instruments} instruments, {quantity(phase.instrument_seconds, 's')} of messages"
            overlap += f": {ratio:.1f} at the same time" if ratio > 1.05 else ""
        echo(f"\n{phase.name}: {quantity(phase.seconds, 's')}{overlap}")
        for one in phase.sent:
            text = one.text if len(one.text) <= 80 else f"{one.text[:79]}…"
            echo(f"  {1e3 * one.began:8.2f} ms  {1e3 * one.seconds:8.2f} ms  {one.instrument:<{width}}  {text}")
    outputs = ", ".join(f"{value:.4g}" for value in trial.outputs)
    echo(f"\noutputs {outputs}; cost {trial.cost:.4g}; {trial.probes_per_second:.3g} probes/s, one after another")
    if trial.timed_per_second is not None:
        ratio = trial.timed_per_second / trial.probes_per_second
        echo(f"hardware-timed: {trial.timed_per_second:.3g} probes/s, {ratio:.0f} times as many")
