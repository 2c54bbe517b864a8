; y = x/2 * (1 + tanh(u)),  u = x * (c + d * x^2),  c = sqrt(2 / pi),  d = 0.044715 * c: the tanh form of GELU, fp32.
;
; Eight ALUs in a chain, a row a cycle. x is wanted three times; where an earlier operand has to wait for a later one,
; the assembler makes it wait in a delay register.

.chip tsp1
.param n = 128  ; rows
.param cols = 320
.let c = sqrt(2 / 3.141592653589793)
.let d = 0.044715 * c

.tensor x f32 n cols at MEM_E0:0 input
.tensor y f32 n cols at MEM_W0:0 output

@reach(VXM, earliest(x, VXM)) x: read W0
@arrives VXM_8: mul f32, W0, W0 x{n}
@arrives VXM_9: mul f32, alu8, #d x{n}
@arrives VXM_10: add f32, alu9, #c x{n}
@arrives VXM_11: mul f32, alu10, W0 x{n}
@arrives VXM_0: tanh f32, alu11 x{n}
@arrives VXM_12: add f32, alu0, #1 x{n}
@arrives VXM_13: mul f32, W0, #0.5 x{n}
@arrives VXM_14: mul f32, alu12, alu13 -> W4 x{n}
@arrives y: write W4
