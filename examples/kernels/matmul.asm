; y = x * w^T, fp16 in, fp32 out, over any number of contraction columns k: chunks of 320 lanes, accumulated.
;
; A chunk's weights are loaded, a column a cycle, while the chunk before is multiplied; installing them waits until the
; last row of that one has passed. The first chunk starts each accumulator row, the last one emits it.

.chip tsp1
.param m = 128  ; rows of x and y, at most mxm.acc_rows
.param k = 768  ; columns of x and w
.param n = 64  ; rows of w, columns of y, at most the chip's lanes

.tensor x f16 m k at MEM_E0:0 input
.tensor w f16 n k at MEM_E2:0 input
.tensor y f32 m n at MEM_E4:0 output

.let free = 0  ; cycle from which weights may be installed
.let next = 0  ; cycle from which weights may be loaded
.for c in 0..x.chunks
  .let lanes_in = min(lanes, k - c * lanes)
  .let rows = cdiv(lanes_in, mxm.window) * mxm.window
  .let each = cdiv(rows, mxm.fp16_k)  ; cycles an activation takes

  fetch: @reach(MXM_E, max(earliest(w, MXM_E), next)) w[0..n, c]: read E4
  loaded: @arrives MXM_E0.weights: lw f16, E4, 1, 0, 1 x{n} +1
  installed: @max(done(loaded), free) MXM_E0.weights: iw f16, 0, n
  @reach(MXM_E, done(installed)) x[0..m, c]: read E0 /each
  sent: @arrives MXM_E0.activations: abc f16, E0, 0, rows x{m} /each
  .if c == 0
    .if c == x.chunks - 1
      @arrives MXM_E0.accumulate: acc f16, 0, start, emit, W0 x{m} /each +1
    .else
      @arrives MXM_E0.accumulate: acc f16, 0, start, W0 x{m} /each +1
    .end
  .else
    .if c == x.chunks - 1
      @arrives MXM_E0.accumulate: acc f16, 0, emit, W0 x{m} /each +1
    .else
      @arrives MXM_E0.accumulate: acc f16, 0, W0 x{m} /each +1
    .end
  .end
  .if c == x.chunks - 1
    @arrives y: write W0 /each
  .end
  .set free = end(sent) + each
  .set next = start(installed) + 1
.end
