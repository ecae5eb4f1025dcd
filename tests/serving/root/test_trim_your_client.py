"""The example for those who have a root already, as it is run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from processes import environment
from real_world import RealWorld
from scripted_leaf import ScriptedLeaf, ScriptedModel


def test_the_example_is_short_and_its_client_still_gets_its_scores_and_sends_less(tmp_path: Path, root: Path) -> None:
    example = root / "examples" / "trim_your_client.py"
    assert len(example.read_text().splitlines()) <= 15
    real = RealWorld(tmp_path)

    def run(address: str) -> str:
        command = [sys.executable, str(example), address, str(real.bundle_path)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with real.leaf() as leaf:
        assert 'name: "score"' in run(leaf.grpc)

    async def what_arrives() -> list[str]:
        scripted = await ScriptedLeaf({"price": ScriptedModel(("price",))}).start()
        await asyncio.to_thread(run, scripted.address)
        await scripted.stop()
        return [tensor.name for tensor in scripted.received[0].inputs]

    assert asyncio.run(what_arrives()) == ["price"]
