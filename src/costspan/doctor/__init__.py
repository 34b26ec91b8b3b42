"""``costspan doctor``: what is installed and seen, what is exported where and whether it arrives, what would be unpriced.

Needs nothing but what a program with costspan has. Each check gives `Finding`s; none changes anything.
"""
