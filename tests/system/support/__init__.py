"""What the process-level tests share: start a real daemon, talk to it byte by byte, look at what it left behind.

Python standard library only. Every module of tests is runnable alone: python3 tests/system/test_x.py -v
The daemon under test is named by KEEPSTORE_BINARY, else the newest one below build/ is taken.
"""
