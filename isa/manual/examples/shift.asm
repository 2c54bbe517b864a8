; Every lane moves up by three, on the way from MEM_E0 to the SXM and back to MEM_E1.
.tensor x i8 4 lanes at MEM_E0:0 input
.tensor y i8 4 lanes at MEM_E1:0 output
@0 x: read E0
@arrives SXM_E.0: shift E0, W0, 3 x4
@arrives y: write W0
