; One queue: none of these does anything on a chip of its own, but each takes a cycle.
@0 MEM_W0: sync
@1 MEM_W0: notify
@2 MEM_W0: ifetch 4
@3 MEM_W0: config lanes.superlanes
