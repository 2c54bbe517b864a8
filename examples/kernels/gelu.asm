; y = gelu(x) over n rows of cols lanes, fp32: the kernel gelu between a read and a write, a row a cycle.

.chip tsp1
.param n = 128  ; rows
.param cols = 320

.tensor x f32 n cols at MEM_E0:0 input
.tensor y f32 n cols at MEM_W0:0 output

.include "pointwise.asm"

@reach(VXM, earliest(x, VXM)) x: read W0
@arrives gelu(n, W0, W4)
@arrives y: write W4
