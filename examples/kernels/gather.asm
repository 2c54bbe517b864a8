; out[i] = table[ids[i]]: rows of an fp16 table, an id a cycle. An id beyond the table takes its last row.
;
; An id fills all lanes, since every superlane looks at its own first lane. It flows east past the two slices of the
; table, one cycle later at the second: what they put on E4 and E5 is side by side on the way on.

.chip tsp1
.param n = 128  ; ids
.param cols = 320
.param vocab = 1000

.tensor ids i16 n 1 at MEM_W0:0 splat input
.tensor table f16 vocab cols at MEM_E0:0 input
.tensor out f16 n cols at MEM_E4:0 output

@reach(VXM, earliest(ids, VXM)) ids: read E0
@arrives table: gather vocab-1, E0, E4 x{n}
@arrives out: write E4
