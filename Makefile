.PHONY: demo test test-real check fmt golden docs bench build lock clean
