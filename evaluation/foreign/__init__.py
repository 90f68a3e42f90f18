"""Code that is not ours plays in processes of its own: policies named on the command line, and CC4 submissions.

``process`` starts and watches such a process, ``policy`` and ``submissions`` ask it; ``inside.child`` is the program it
runs, with ``inside.serving`` for policies and ``inside.playing`` for submissions. ``wire`` is what both ends speak.

This keeps accidents apart: modules of one name, exits, hangs, leaks, output. It is no protection against code that
means harm, which runs with the rights of the user.
"""
