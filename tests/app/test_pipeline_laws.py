"""Whatever was changed, stopped or run alone before: a pipeline that ran through holds what one clean run makes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from greywater.app import pipelines
from greywater.app.pipeline_file import read_pipeline
from greywater.app.pipeline_steps import WORK, StepPlace
from greywater.app.pipelines import PipelineRequest, run_pipeline
from greywater.config import Settings
from greywater.errors import EngineError, UsageError
from greywater.vocab import Actor

FULL = os.environ.get("GREYWATER_FULL") == "1"
STEPS = ("backfill", "validate", "training_set", "train", "evaluate")
#: A word of each step's table that a change can count up.
WORDS = {"backfill": "slices", "validate": "least_rows", "training_set": "row_id", "train": "", "evaluate": "resamples"}

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from([step for step in STEPS if WORDS[step]])),
        st.tuples(st.just("break"), st.sampled_from(STEPS)),
        st.tuples(st.just("only"), st.sampled_from(STEPS)),
        st.tuples(st.just("from"), st.sampled_from(STEPS)),
        st.tuples(st.just("lose"), st.sampled_from(STEPS)),
        st.tuples(st.just("run"), st.just("")),
    ),
    min_size=1,
    max_size=7,
)


@dataclass
class Desk:
    """Steps that only count: the output of each is a digest of its table and of the outputs before it."""

    folder: Path
    counts: dict[str, int]
    breaks: str = ""
    lost: str = ""
    ran: int = 0

    def run(self, **request: Any) -> dict[str, str]:
        path = self.folder / "laws.toml"
        path.write_text(self.text())
        pipeline = read_pipeline(path)
        found = run_pipeline(Actor(), Settings(store=self.folder / "store"), pipeline, PipelineRequest(**request))
        return {one.step: one.output["made"] for one in found if one.state != "left out"}

    def text(self) -> str:
        lines = [f'[pipeline]\nname = "laws{self.counts["name"]}"']
        for step in STEPS:
            lines.append(f"[{step}]")
            if WORDS[step]:
                count = self.counts[step]
                lines.append(f'{WORDS[step]} = "c{count}"' if step == "training_set" else f"{WORDS[step]} = {count}")
        return "\n".join(lines)

    def work(self, step: str) -> Any:
        def made(place: StepPlace, table: Any) -> dict[str, Any]:
            if self.breaks == step:
                self.breaks = ""
                raise EngineError("stopped here")
            self.ran += 1
            return {"made": expected(self, step, {name: one["made"] for name, one in place.outputs.items()})}

        def stands(within: Settings, output: dict[str, Any]) -> bool:
            lost, self.lost = self.lost == step, "" if self.lost == step else self.lost
            return not lost

        return replace(WORK[step], run=made, stands=stands)


def expected(desk: Desk, step: str, before: dict[str, str]) -> str:
    return hashlib.sha256(repr((step, desk.counts.get(step), sorted(before.items()))).encode()).hexdigest()


def clean(desk: Desk) -> dict[str, str]:
    """The slow twin: every step anew."""
    outputs: dict[str, str] = {}
    for step in STEPS:
        outputs[step] = expected(desk, step, outputs)
    return outputs


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    from greywater.app.wiring import open_project

    folder = tmp_path_factory.mktemp("laws")
    with open_project(Settings(store=folder / "store"), Actor(), write=True):
        pass
    return Desk(folder, dict.fromkeys((*STEPS, "name"), 1))


@settings(max_examples=100 if FULL else 6, phases=(Phase.generate,))
@given(acts=ACTS)
def test_a_pipeline_that_ran_through_holds_what_a_clean_run_makes(desk: Desk, acts: list[tuple[str, str]]) -> None:
    desk.counts["name"] += 1
    desk.breaks = desk.lost = ""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipelines, "WORK", MappingProxyType({step: desk.work(step) for step in STEPS}))
        for act, step in acts:
            try:
                if act == "change":
                    desk.counts[step] += 1
                elif act == "break":
                    desk.breaks = step
                elif act == "lose":
                    desk.lost = step
                else:
                    desk.run(**({"only": step} if act == "only" else {"begin": step} if act == "from" else {}))
            except (EngineError, UsageError):
                pass  # stopped where it was told to, or asked for a step alone whose past does not stand
        desk.breaks = ""
        assert desk.run() == clean(desk)
        before, desk.lost = desk.ran, ""
        assert desk.run() == clean(desk)
        assert desk.ran == before
