"""Marks of crashed programs are apart from the user's."""

from collections.abc import Iterator

import pytest

from mgdhw_drivers.bench.crash import FOLDER


@pytest.fixture(autouse=True, scope="session")
def marks_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(tmp_path_factory.mktemp("benches")))
        yield
