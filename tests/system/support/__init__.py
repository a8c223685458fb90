"""Shared by the process-level tests: start a real daemon, talk to it byte by byte, look at the files it left.

Python standard library only. Every module of tests is runnable alone: python3 tests/system/test_x.py -v
The daemon under test is named by KEEPSTORE_BINARY, else the newest one below build/ is taken.
"""
