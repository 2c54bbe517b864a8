; It assembles, and the verifier refuses it: a program for one chip has no business with links to others.
@0 C2C_E.0: deskew 0
@1 C2C_E.0: send 0, E0
@2 C2C_E.0: receive 0, W0
