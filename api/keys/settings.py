"""Settings of who makes API keys, and of who checks them."""

from pathlib import Path
from typing import Self

from pydantic import SecretStr, model_validator

from api.access.peppers import Peppers, peppers_of
from broker.settings import BrokerSettings


class KeySettings(BrokerSettings):
    """Either has the peppers; the file is read at the start."""

    api_key_pepper: SecretStr | None = None
    """What API keys are hashed with: `<version>:<secret>`; several, with spaces or commas between, while one is changed for
    another: the first is for new keys."""
    api_key_pepper_file: Path | None = None
    """A file that has this instead."""
    audit_log: Path | None = None
    """The folder of the audit log: who did what. Not set: there is none."""

    @property
    def peppers(self) -> Peppers | None:
        """None where neither is set. Raises ValueError, which tells nothing of them."""
        if self.api_key_pepper is not None:
            text, where = self.api_key_pepper.get_secret_value(), "RESPOOL_API_KEY_PEPPER"
        elif self.api_key_pepper_file is not None:
            where = "RESPOOL_API_KEY_PEPPER_FILE"
            try:
                text = self.api_key_pepper_file.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{where}: {getattr(error, 'strerror', None) or 'it is not text'}") from None
        else:
            return None
        try:
            return peppers_of(text)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    @model_validator(mode="after")
    def _peppers_usable(self) -> Self:
        if self.api_key_pepper is not None and self.api_key_pepper_file is not None:
            raise ValueError("RESPOOL_API_KEY_PEPPER and RESPOOL_API_KEY_PEPPER_FILE: set one of them")
        _ = self.peppers
        return self
