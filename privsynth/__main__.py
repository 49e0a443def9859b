"""``python -m privsynth``; `torchrun` starts it so: ``torchrun --nproc-per-node 2 -m privsynth fit ...``."""

from privsynth.cli import main

if __name__ == "__main__":
    main()
