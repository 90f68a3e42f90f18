"""The campaign: kills, full disks and damaged files, and what the commands make of them.

    python -m tests.campaign                      50 kills, 10 sizes of every disk, 300 mutations
    python -m tests.campaign --only kills --kills 10 --seed 3
    pytest -m slow tests/campaign                 the same, as a test

Commands run in real processes, forked from one that has imported everything, two at a time. The disk is a real one
where this process may mount (a memory disk of a given size), else a limit on the size of files;
the table says which.
Submissions are damaged where CybORG is found. Everything random follows from the seed.

Every attempt ends in one of three ways: it *survived* (the result is that of the undisturbed command), it was *refused*
in one sentence, or it is *wrong*: a traceback, a hang, something lost or left over, or another result without a word.
"""
