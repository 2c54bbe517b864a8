; z = a * x + y over n rows of cols lanes, fp32: one multiply, one add, a row a cycle.
;
; x flows west and y east to the VXM, where the kernel saxpy says when it wants them; z flows on east and is written as
; it passes.

.chip tsp1
.param n = 128  ; rows
.param cols = 320
.param a = 2.5

.tensor x f32 n cols at MEM_E0:0 input
.tensor y f32 n cols at MEM_W0:0 input
.tensor z f32 n cols at MEM_E4:0 output

.include "pointwise.asm"

.let t = earliest(x, VXM)

@reach(VXM, t) x: read W0
@reach(VXM, t+timing.vxm_alu) y: read E0
@arrives saxpy(n, a, 0, 8, E4)
@arrives z: write E4
