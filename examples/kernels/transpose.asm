; y = x^T for up to 320 x 320 bytes, exactly: x is installed as int8 weights and one-hot rows are streamed through it.
;
; Row j of x becomes the weights of output column j. Streaming the one-hot row k takes element k of every column: lane j
; of the sum is x[j, k], so the sums in turn are the rows of y. Sums are int32; their low byte is the element.

.chip tsp1
.param rows = 320
.param cols = 320

.tensor x i8 rows cols at MEM_E0:0 input
.tensor y i8 cols rows at MEM_E1:0 output
.tensor unit i8 cols cols at MEM_E2:0
.for i in 0..cols
  .i8 0 x{i}, 1, 0 x{cols-1-i}
.end

@0 x: read E0
loaded: @arrives MXM_E0.weights: lw i8, E0, 1, 0, 1 x{rows} +1
installed: @done(loaded) MXM_E0.weights: iw i8, 0, rows
@reach(MXM_E, done(installed)) unit: read E4
@arrives MXM_E0.activations: abc i8, E4, 0, cdiv(cols, mxm.window)*mxm.window x{cols}
@arrives MXM_E0.accumulate: acc i8, 0, start, emit, W0 x{cols}
@arrives y: write W0
