"""The verbs: one file each, ports in, a frozen result out."""
