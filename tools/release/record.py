"""The record of what is released to a stage: the commit, in a parameter of its account.

It is written after the smoke test. So it names the last good release, also when a deployment ended
halfway, and its history lists the earlier ones.
"""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.release.steps import ReleaseError


class Record:
    """The parameter of a stage.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-parameter-store.html
    """

    def __init__(self, ssm: Any, stage: str) -> None:
        """Takes a client of SSM and the name of the stage."""
        self._ssm = ssm
        self.name = f"/orderflow/{stage}/release"

    def read(self) -> str | None:
        """Returns the commit of the last good release; None before the first one.

        Raises ReleaseError if the account does not answer.
        """
        try:
            found = self._ssm.get_parameter(Name=self.name)
        except self._ssm.exceptions.ParameterNotFound:
            return None
        except (BotoCoreError, ClientError) as error:
            raise ReleaseError(
                f"{self.name} cannot be read: {error}: log in to the account of the stage, "
                "with ssm:GetParameter"
            ) from error
        return str(found["Parameter"]["Value"])

    def write(self, commit: str) -> None:
        """Stores a commit. Raises ReleaseError if the account does not accept it."""
        try:
            self._ssm.put_parameter(Name=self.name, Value=commit, Type="String", Overwrite=True)
        except (BotoCoreError, ClientError) as error:
            raise ReleaseError(
                f"{commit} is deployed and tested, but {self.name} cannot be written: {error}: "
                f"write it with `aws ssm put-parameter --name {self.name} --type String "
                f"--overwrite --value {commit}`"
            ) from error
