"""The nouns: what a cell, a record, a phase and a difference are.

Standard library only, no I/O, no clock. Nothing here knows where data lies.
"""
