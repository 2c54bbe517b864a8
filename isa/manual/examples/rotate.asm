; Within each superlane, every lane moves up by three, the last three to the front.
.tensor x i8 4 lanes at MEM_E0:0 input
.tensor y i8 4 lanes at MEM_E1:0 output
@0 x: read E0
@arrives SXM_E.0: rotate E0, W0, 3 x4
@arrives y: write W0
