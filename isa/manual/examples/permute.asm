; y[i] = x[map[i]], one map for one row.
.tensor x i8 1 lanes at MEM_E0:0 input
.tensor map i16 1 lanes at MEM_E2:0 input
.tensor y i8 1 lanes at MEM_E1:0 output
@reach(SXM_E, 60) x: read E0
@reach(SXM_E, 60) map: read E2
@arrives SXM_E.0: permute E0, W0, E2
@arrives y: write W0
