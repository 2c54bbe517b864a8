; y = x * w^T: four rows of fp16 times eight columns, summed in fp32.
.tensor w f16 8 lanes at MEM_E2:0 input
.tensor x f16 4 lanes at MEM_E0:0 input
.tensor y f32 4 8 at MEM_E4:0 output
.let each = cdiv(lanes, mxm.fp16_k)  ; cycles an activation takes
@reach(MXM_E, earliest(w, MXM_E)) w: read E4
loaded: @arrives MXM_E0.weights: lw f16, E4, 1, 0, 1 x8 +1
installed: @done(loaded) MXM_E0.weights: iw f16, 0, 8
@reach(MXM_E, done(installed)) x: read E0 /each
@arrives MXM_E0.activations: abc f16, E0, 0, lanes x4 /each
@arrives MXM_E0.accumulate: acc f16, 0, start, emit, W0 x4 /each +1
@arrives y: write W0 /each
