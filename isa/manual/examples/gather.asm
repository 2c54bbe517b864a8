; Each superlane gets one row of an eight-row table; its index is in its first lane.
.tensor index i16 1 lanes at MEM_W1:0 input
.tensor rows i8 8 lanes at MEM_E0:0 input
.tensor y i8 1 lanes at MEM_E1:0 output
@reach(MEM_E0, 20) index: read E2
@20 MEM_E0: gather 0, 7, E2, E0
@arrives MEM_E1: write 0, E0
