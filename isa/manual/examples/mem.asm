; Four rows move from MEM_W0 past the VXM to MEM_E0.
.tensor x i8 4 lanes at MEM_W0:0 input
.tensor y i8 4 lanes at MEM_E0:0 output
@0 MEM_W0: read 0, E0 x4 +1
@arrives MEM_E0: write 0, E0 x4 +1
