; The read is dispatched four times in all, a cycle apart, its address advancing by one. `x4 /1 +1` says the same.
.tensor x i8 4 lanes at MEM_W0:0 input
.tensor y i8 4 lanes at MEM_E0:0 output
MEM_W0: read 0, E0
MEM_W0: repeat 4, 1, 1
@7 MEM_E0: write 0, E0 x4 +1
