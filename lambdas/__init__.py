"""What runs in AWS Lambda: one package per context, and the kernel they share."""

import time

LOADING_SINCE = time.time()
"""When this execution environment began to load the code of its function, in epoch seconds."""
