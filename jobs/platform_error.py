"""What all errors of the platform have in common; `errors.py` holds the tree."""

from typing import Any, ClassVar


class PlatformError(Exception):
    """Something in the platform went wrong."""

    code: ClassVar[str] = "platform_error"
    hint: ClassVar[str] = ""

    def __init__(self, *, job_id: str | None = None, detail: str = "", hint: str = "") -> None:
        """Describe one occurrence: `detail` says what and where, `hint` overrides the class's advice."""
        self.job_id = job_id
        self.detail = detail
        self.advice = hint or self.hint
        super().__init__(self._message())

    def _message(self) -> str:
        summary = (type(self).__doc__ or "").partition("\n")[0].strip().rstrip(".")
        about = f" (job {self.job_id})" if self.job_id else ""
        text = f"{summary}{about}: {self.detail}" if self.detail else f"{summary}{about}"
        return f"{text}. {self.advice}" if self.advice else text

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes with everything that it says; the constructor takes other things."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type["PlatformError"], arguments: tuple[Any, ...], says: dict[str, Any]) -> "PlatformError":
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(says)
    return error
