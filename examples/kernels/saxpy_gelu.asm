; out = gelu(a * x + y) over n rows of cols lanes, fp32: two kernels in a chain, nothing written between them.
;
; Only the contracts meet: the sum leaves saxpy on W8 in the cycle in which gelu, called for then, wants it there, and
; their ALUs differ. Call gelu for another cycle, or let both use VXM_0, and the assembler says so without a look into either.

.chip tsp1
.param n = 128  ; rows
.param cols = 320
.param a = 2.5

.tensor x f32 n cols at MEM_E0:0 input
.tensor y f32 n cols at MEM_W0:0 input
.tensor out f32 n cols at MEM_W4:0 output

.include "pointwise.asm"

.let t = earliest(x, VXM)

@reach(VXM, t) x: read W0
@reach(VXM, t+timing.vxm_alu) y: read E0
sum: @arrives saxpy(n, a, 1, 15, W8)
@arrives gelu(n, W8, W4, x=sum.z)
@arrives out: write W4
