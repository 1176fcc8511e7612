"""Curves and faults in the database of a run: what was deleted or changed is missed."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import mgdhw
from mgdhw.runs import Run
from mgdhw.training.events import BlockDone, Event, Faulted, ReplicaFinished, ReplicasEvent
from tests.runs.kept import XOR, notes_of


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(run / "metrics.sqlite")) as connection:
        return connection.execute(query).fetchall()


def test_curves_that_were_deleted_are_missed(stopped: Path, digest: str) -> None:
    (stopped / "metrics.sqlite").unlink()
    (note,) = notes_of(stopped, digest)
    assert "metrics.sqlite: lacks curves (and perhaps faults) that were kept before" in note
    (stopped / "metrics.sqlite").unlink()
    missing, finished = mgdhw.train(resume=stopped).notes
    assert missing == f"{stopped / 'metrics.sqlite'}: is missing; the curves of this run are lost"
    assert "is finished" in finished


def test_older_curves_are_missed(stopped: Path, tmp_path: Path, digest: str) -> None:
    """A database from a backup of yesterday."""
    with contextlib.closing(sqlite3.connect(stopped / "metrics.sqlite", isolation_level=None)) as connection:
        connection.execute("DELETE FROM curve WHERE step > 100")
    changed, lacks = notes_of(stopped, digest)
    assert "metrics.sqlite: was edited, or is damaged; its curves may be wrong" in changed
    assert "lacks curves" in lacks


def test_whole_curves_are_not_missed(stopped: Path, digest: str) -> None:
    assert notes_of(stopped, digest) == ()


def test_a_database_that_says_it_is_not_to_be_written(stopped: Path, digest: str) -> None:
    path = stopped / "metrics.sqlite"
    content = bytearray(path.read_bytes())
    content[18] = 3  # the version of the format for writing
    path.write_bytes(content)
    assert "metrics.sqlite: is damaged" in notes_of(stopped, digest)[-1]


def test_a_curve_with_another_number(stopped: Path, digest: str) -> None:
    """SQLite finds nothing wrong there. One that is finished says so, too, until somebody has seen to it."""
    mgdhw.train(resume=stopped)
    assert len(mgdhw.train(resume=stopped).notes) == 1
    with contextlib.closing(sqlite3.connect(stopped / "metrics.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE curve SET cost = 2 * cost WHERE step = 100")
    for notes in (mgdhw.train(resume=stopped).notes, mgdhw.evaluate(stopped).notes):
        assert notes[0] == f"{stopped / 'metrics.sqlite'}: was edited, or is damaged; its curves may be wrong"


def test_a_viewer_does_not_make_curves_suspect(stopped: Path, digest: str) -> None:
    """One that only reads, whether or not the run is being written."""
    with contextlib.closing(sqlite3.connect(stopped / "metrics.sqlite")) as viewer:
        viewer.execute("SELECT * FROM curve").fetchone()
        assert notes_of(stopped, digest) == ()
    assert len(mgdhw.train(resume=stopped).notes) == 1, "that it is finished"
    assert rows(stopped, "SELECT max(step) FROM curve") == [(600,)]
    assert len(mgdhw.train(resume=stopped).notes) == 1


def test_what_was_put_aside_is_kept(empty: Run) -> None:
    for number in (1, 2):
        empty.metrics.write_text(str(number))
        assert empty.set_metrics_aside().read_text() == str(number)
    assert len(list(empty.folder.glob("metrics.damaged*"))) == 2


def faulty(at: int) -> Any:
    """A chip that loses one answer."""
    from mgdhw.block import Block, Costs
    from mgdhw.errors import LinkTimeout
    from mgdhw_sim.device import SimDevice
    from mgdhw_sim.uri import parse

    uri = XOR["device"]["uri"]

    class Faulty(SimDevice):
        lost = False

        async def probe(self, block: Block) -> Costs:
            if not self.lost and block.first_step >= at:
                self.lost = True
                raise LinkTimeout("no answer in 1 s", uri=self.uri)
            return await super().probe(block)

    return Faulty(uri, parse(uri))


def test_faults_beyond_the_checkpoint_are_kept(tmp_path: Path, digest: str) -> None:
    """They have happened; what was measured there is measured again."""

    class Killed(Exception):
        pass

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= 400:
            raise Killed

    rare = {**XOR, "run": {"block": 10, "level": "device-codes"}}  # its only checkpoint is the first
    with pytest.raises(Killed):
        mgdhw.train(rare, device=faulty(350), runs=tmp_path, listeners=[listen])
    (run,) = tmp_path.iterdir()
    assert [path.name for path in run.glob("checkpoint-*")] == ["checkpoint-0.npz"]
    assert mgdhw.train(resume=run).digest == digest
    assert rows(run, "SELECT step, kind FROM fault") == [(350, "LinkTimeout")]


def test_faults_of_replicas_are_kept(tmp_path: Path) -> None:
    heard: list[ReplicasEvent] = []
    changes = ["run.level=device-codes"]
    session = mgdhw.TrainingHandle()

    def stop(event: ReplicasEvent) -> None:
        heard.append(event)
        if isinstance(event, ReplicaFinished):
            session.stop()

    options: dict[str, Any] = {"overrides": changes, "replicas": 3}
    run = mgdhw.train_replicas(XOR, device=faulty(350), runs=tmp_path, session=session, listeners=[stop], **options).run
    assert run is not None
    assert sum(isinstance(event, Faulted) for event in heard) == 1
    assert rows(run, "SELECT step, kind FROM fault") == [(350, "LinkTimeout")]
    whole = mgdhw.train_replicas(XOR, runs=None, **options)
    resumed = mgdhw.train_replicas(resume=run, device=faulty(100), **options)
    assert resumed.digest == whole.digest
    assert rows(run, "SELECT step FROM fault ORDER BY id") == [(350,), (100,)]
    assert rows(run, "SELECT seconds FROM fault ORDER BY id") == sorted(rows(run, "SELECT seconds FROM fault"))
