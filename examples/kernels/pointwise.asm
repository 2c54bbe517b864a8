; Point-wise kernels with contracts, to include and to chain: what each consumes and produces at the VXM, and the ALUs
; it uses. A row of lanes a cycle, fp32, n rows; t is the cycle of the first.

; z = a * x + y on the ALUs p and q. y is wanted by the add, one ALU behind the multiply.
.kernel saxpy(n=128, a=2.0, p=0, q=8, to=E4)
  .in x: W0 f32 @t at VXM x{n}
  .in y: E0 f32 @t+timing.vxm_alu at VXM x{n}
  .out z: to f32 @t+2*timing.vxm_alu at VXM x{n}
  .uses VXM_{p}, VXM_{q}
  @arrives VXM_{p}: mul f32, x, #a x{n}
  @arrives VXM_{q}: add f32, alu{p}, y -> z x{n}
.end

; y = x/2 * (1 + tanh(u)),  u = x * (c + d * x^2),  c = sqrt(2 / pi),  d = 0.044715 * c: the tanh form of GELU.
;
; Seven ALUs deep. x is wanted three times; where an earlier operand has to wait for a later one, the assembler makes it
; wait in a delay register.
.kernel gelu(n=128, from=W0, to=E4)
  .let c = sqrt(2 / 3.141592653589793)
  .let d = 0.044715 * c
  .in x: from f32 @t at VXM x{n}
  .out y: to f32 @t+7*timing.vxm_alu at VXM x{n}
  .uses VXM_0, VXM_8..VXM_14
  @arrives VXM_8: mul f32, x, x x{n}
  @arrives VXM_9: mul f32, alu8, #d x{n}
  @arrives VXM_10: add f32, alu9, #c x{n}
  @arrives VXM_11: mul f32, alu10, x x{n}
  @arrives VXM_0: tanh f32, alu11 x{n}
  @arrives VXM_12: add f32, alu0, #1 x{n}
  @arrives VXM_13: mul f32, x, #0.5 x{n}
  @arrives VXM_14: mul f32, alu12, alu13 -> y x{n}
.end
