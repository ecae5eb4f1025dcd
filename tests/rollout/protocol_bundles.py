"""The two bundles of the walk, with one model for each way in which a model may change between them."""

from __future__ import annotations

from small_bundles import Models

A: Models = {
    "same": {1: "x"},
    "added": {1: "x"},
    "dropped": {1: "xy", 2: "x"},
    "widened": {1: "x"},
    "narrowed": {1: "xy"},
    "gone": {1: "x"},
}
B: Models = {
    "same": {1: "x", 2: "x"},
    "added": {1: "x", 2: "xy"},
    "dropped": {1: "xy"},
    "widened": {2: "xy"},
    "narrowed": {2: "x"},
    "new": {1: "x"},
}
