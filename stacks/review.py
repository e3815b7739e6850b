"""The review that each synthesis runs."""


def review(app):
    pass
