"""What each instruction does, as LLVM IR: a second implementation, held bit for bit to ``Instruction.execute``.

A kernel is one function ``void kernel(ptr desc, i64 part, i64 parts)``, generated once a *shape* and driven by a descriptor:
an array of 64-bit words that holds pointers, strides and counts. Kernels of one shape serve any number of bursts. A call
does one of ``parts`` shares of the work; the bits do not depend on how many there are. All text comes from f-strings; llvmlite only parses it.
"""
