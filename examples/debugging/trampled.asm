; z = x + y, and a copy of t beside it. The verifier accepts it, and z is wrong.
;
; find.dbg finds out why: tspc debug examples/debugging/trampled.asm --batch examples/debugging/find.dbg

.chip tiny
.param n = 4  ; rows

.tensor x i8 n 32 at MEM_W0:0
.i8 2 x{n*32}
.tensor y i8 n 32 at MEM_W1:0
.i8 3 x{n*32}
.tensor t i8 n 32 at MEM_E0:0
.i8 9 x{n*32}
.tensor z i8 n 32 at MEM_E3:0 output
.tensor copy i8 n 32 at MEM_E5:0 output

@1 x: read E0
@0 y: read E1
sum: @7 VXM_0: add i8, E0, E1 -> E4 x{n}
@arrives z: write E4
copied: @6 t: read E4
@arrives copy: write E4
