; In each superlane, lane l of stream s becomes lane s of stream l. ALU i fills stream i with the number i, so each row that
; the SXM sends back west is 0, 1, 2 ... in every superlane; y keeps the first of them.
.tensor y i8 1 lanes at MEM_E0:0 output
.for i in 0..lanes.per_superlane
  @0 VXM_{i}: mov i8, #i -> E{i}
.end
@arrives SXM_E.0: transpose E0, W0
@arrives y: write W0
