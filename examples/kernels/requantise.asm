; q = int8(clamp(round(acc * scale) + zero, -128, 127)), int32 in, int8 out, a scale a lane.
;
; Rounding is to nearest even: adding and subtracting 1.5 * 2^23 does it in fp32 once the value is small, so the clamp
; comes first; it is the same there, since its bounds are whole numbers. `cvt` is then exact.

.chip tsp1
.param n = 128  ; rows
.param cols = 320
.param zero = 3
.let magic = 12582912.0

.tensor acc i32 n cols at MEM_E0:0 input
.tensor scale f32 1 cols at MEM_W0:0 input
.tensor q i8 n cols at MEM_E6:0 output

@reach(VXM, earliest(acc, VXM)) acc: read W0
@arrives VXM_0: cvt i32, W0, f32 x{n}
@reach(VXM, earliest(acc, VXM)+timing.vxm_alu) scale[0]: read E0 x{n}
@arrives VXM_8: mul f32, alu0, E0 x{n}
@arrives VXM_1: max f32, alu8, #-128-zero x{n}
@arrives VXM_2: min f32, alu1, #127-zero x{n}
@arrives VXM_9: add f32, alu2, #magic x{n}
@arrives VXM_10: sub f32, alu9, #magic x{n}
@arrives VXM_11: add f32, alu10, #zero x{n}
@arrives VXM_3: cvt f32, alu11, i8, saturate -> E4 x{n}
@arrives q: write E4
