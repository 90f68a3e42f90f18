"""The ``hmarl-transfer`` command under a name that nothing else has: ``python -m hmarl_transfer``."""
