; Within each superlane: lane 0 everywhere but in lane 1, which becomes zero.
.tensor x i8 4 lanes at MEM_E0:0 input
.tensor y i8 4 lanes at MEM_E1:0 output
@0 x: read E0
@arrives SXM_E.0: distribute E0, W0, 0x00000000, 0x00000000, 0xfffd x4
@arrives y: write W0
