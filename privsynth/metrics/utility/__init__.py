"""Does what is learnt from synthetic rows hold for real ones?"""
