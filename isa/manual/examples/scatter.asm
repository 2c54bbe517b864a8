; Each superlane of x replaces one of the eight words of rows; which one stands in its first lane of index.
.tensor index i16 1 lanes at MEM_W1:0 input
.tensor x i8 1 lanes at MEM_W0:0 input
.tensor rows i8 8 lanes at MEM_E0:0 input
.tensor y i8 8 lanes at MEM_E0:0 output
@reach(MEM_E0, 20) index: read E2
@reach(MEM_E0, 20) x: read E0
@20 MEM_E0: scatter 0, 7, E2, E0
