"""The CSV: reading it through the byte gate, and replacing files without ever leaving half a one."""
