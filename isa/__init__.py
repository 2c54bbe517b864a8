"""What the machine is: chips, instructions, programs, binary format, assembly, verifier."""
