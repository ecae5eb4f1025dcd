"""Rollouts: a new bundle takes the place of the one in force, stage by stage: forward roots first, back leaves first.

rollouts = Rollouts(open_store("deploy/store"), "ads")
rollouts.start(bundle, configuration=Configuration(), by="ci", why="ctr:9")
rollouts.advance(by="ci", why="")    # as often as it takes; MoveRefusedError says who is awaited
"""

from __future__ import annotations
