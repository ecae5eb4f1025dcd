"""The store: immutable bundles by digest, and for each bundle name a history that says which of them is in force where.

What is written in it is written once; only a history's end says what is in force.

    store = open_store("deploy/store")
    store.put_bundle(bundle)
    head = store.head("ads")            # the last entry of the history: what is in force now
    store.append(entry)                 # the one write that moves anything; False when somebody was quicker
"""

from __future__ import annotations
