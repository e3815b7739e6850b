"""The page of what is supported is generated, and current."""

from pathlib import Path

from cdk_rehearsal.support import matrix

PACKAGE = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    """Update it with `python -m cdk_rehearsal.support > SUPPORT.md`."""
    assert (PACKAGE / "SUPPORT.md").read_text(encoding="utf-8") == matrix()


def test_a_property_is_performed_of_no_effect_or_refused() -> None:
    (row,) = (line for line in matrix().splitlines() if line.startswith("| `AWS::SQS::Queue`"))
    _, _, performed, ignored, _, _ = row.split("|")
    assert "VisibilityTimeout" in performed
    assert ignored.strip() == "DeduplicationScope, FifoThroughputLimit, Tags"
    (row,) = (line for line in matrix().splitlines() if line.startswith("| `AWS::S3::Bucket`"))
    assert "ReplicationConfiguration" in row.split("|")[4]
