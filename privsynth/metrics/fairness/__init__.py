"""Are groups served alike?"""
