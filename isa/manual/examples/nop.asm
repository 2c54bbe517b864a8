; The write waits on its queue until the row passes: 7 cycles from MEM_W0 to MEM_E0.
.tensor x i8 1 lanes at MEM_W0:0 input
.tensor y i8 1 lanes at MEM_E0:0 output
MEM_W0: read 0, E0
MEM_E0: nop 7
MEM_E0: write 0, E0
