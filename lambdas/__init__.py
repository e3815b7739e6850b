"""What runs in AWS Lambda: one package per context, and the kernel they share."""
