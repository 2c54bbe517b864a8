"""A language server for assembly: what assembler, verifier and manual know, while a text is being written.

``server`` speaks the protocol (pygls); the modules beside it answer from a ``Text``, its ``Outline`` and its ``Analysis``.
"""
