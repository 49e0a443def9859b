"""What do synthetic rows tell of the records that they were made from?"""
