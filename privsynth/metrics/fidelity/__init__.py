"""Do synthetic rows look like real ones?"""
