"""What the sections share: tables made ready, estimates with intervals, learners, references."""
